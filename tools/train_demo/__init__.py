"""Makes the demo checkpoint: a clip maker, simulated prompts, the losses, the training and its measure."""

import os

os.environ.setdefault("TQDM_DISABLE", "1")  # the official predictor draws a bar for every clip
