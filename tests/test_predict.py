"""What Cog reads of the predictor without running it, and the container that it builds."""

from dataclasses import MISSING, fields

import pytest
from omegaconf import OmegaConf

from sam2_cog.request import Request, option
from tests.server.cog_server import ROOT, schema
from tools.cog_schema import schema_of

SAID = {"description", "default", "minimum", "maximum", "choices"}


def test_the_signature_says_what_the_request_says() -> None:
    """Every description, default, choice and bound of the schema, and nothing besides."""
    schemas = schema()["components"]["schemas"]
    said = {}
    for name, properties in schemas["Input"]["properties"].items():
        said[name] = {key: value for key, value in properties.items() if key in SAID}
        if "allOf" in properties:
            said[name]["choices"] = schemas[name]["enum"]
    expected = {}
    for item in fields(Request):
        limits = option(item.name)
        given = (limits.description, item.default, limits.low, limits.high, list(limits.choices))
        keys = ("description", "default", "minimum", "maximum", "choices")
        expected[item.name] = {
            key: value for key, value in zip(keys, given, strict=True) if value not in (MISSING, None, [])
        }
    assert said == expected
    assert list(said) == [item.name for item in fields(Request)]
    assert schemas["Input"]["required"] == ["video"]
    assert schemas["Input"]["properties"]["video"]["format"] == "uri"
    assert schemas["Output"]["format"] == "uri"


@pytest.mark.parametrize(
    "said", ["description='a' 'b'", "description=f'a'", "default=A", "choices=('a', 'b')", "ge=1 + 1", "default=-X"]
)
def test_what_cog_would_lose_is_an_error(said: str) -> None:
    source = f"class Predictor:\n    def predict(self, a: str = Input({said})) -> Path: ..."
    with pytest.raises(ValueError, match=f"a: {said.partition('=')[0]} is not a plain literal"):
        schema_of(source)


def test_the_container_is_built_from_what_is_here() -> None:
    config = OmegaConf.load(ROOT / "cog.yaml")
    requirements = (ROOT / "requirements.txt").read_text().split()
    assert config.predict == "predict.py:Predictor"
    assert config.build.gpu is True
    assert (ROOT / config.build.python_requirements).is_file()
    assert f"cog=={config.build.sdk_version}" in requirements
    assert "ffmpeg" in config.build.system_packages
