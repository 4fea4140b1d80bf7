"""What pyproject.toml cannot say: `weights/demo.pt` travels inside the built package."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithDemo(build_py):
    """Copies the demo checkpoint beside the code, where `checkpoints.py` finds it without the source tree."""

    def run(self) -> None:
        """Build as usual, then copy; an editable install uses the source tree itself."""
        super().run()
        if not self.editable_mode:
            folder = Path(self.build_lib, "sam2_cog", "weights")
            self.mkpath(str(folder))
            self.copy_file("weights/demo.pt", str(folder))


setup(cmdclass={"build_py": BuildWithDemo})
