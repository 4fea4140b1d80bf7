"""Write `.cog/openapi_schema.json`, by which Cog's server checks requests; `cog build` makes it where there is Docker.

    python -m tools.cog_schema

Like Cog's own reader this one does not run predict.py. It is stricter: what is no plain literal is an error, where Cog
would drop it without a word.
"""

import ast
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TYPES: dict[str, dict[str, str]] = {
    "Path": {"type": "string", "format": "uri"},
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
}
BOUNDS = {"ge": "minimum", "le": "maximum"}
REFERENCE = "#/components/schemas/"

Schema = dict[str, Any]


def main() -> None:
    """Read predict.py, write the schema."""
    target = ROOT / ".cog" / "openapi_schema.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(schema_of((ROOT / "predict.py").read_text()), indent=2) + "\n")


def schema_of(source: str) -> Schema:
    """The OpenAPI document of a predictor, in the form of Cog's.

    source: Python with a `Predictor.predict()`, each of whose inputs is `name: type = Input(key=literal, ...)`.
    Raises ValueError for a value that is not a plain literal.
    """
    method = _predict_method(ast.parse(source))
    inputs: dict[str, Schema] = {}
    schemas: dict[str, Schema] = {}
    for order, (argument, call) in enumerate(zip(method.args.args[1:], method.args.defaults, strict=True)):
        assert isinstance(call, ast.Call)
        kind = _kind(argument.annotation)
        said = {str(word.arg): _literal(argument.arg, word) for word in call.keywords}
        inputs[argument.arg] = _input(argument.arg, kind, said, order)
        if "choices" in said:
            schemas[argument.arg] = {"title": argument.arg, "type": "string", "enum": said["choices"]}
    assert isinstance(method.returns, ast.Name)
    required = [name for name, schema in inputs.items() if "default" not in schema and "nullable" not in schema]
    schemas["Input"] = {"title": "Input", "type": "object", "properties": inputs, "required": required}
    schemas["Output"] = {"title": "Output"} | TYPES[method.returns.id]
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": {"/predictions": {"post": _endpoint()}},
        "components": {"schemas": schemas},
    }


def _predict_method(module: ast.Module) -> ast.FunctionDef:
    (predictor,) = (node for node in module.body if isinstance(node, ast.ClassDef) and node.name == "Predictor")
    (method,) = (node for node in predictor.body if isinstance(node, ast.FunctionDef) and node.name == "predict")
    if method.decorator_list:
        raise ValueError("predict: a decorator breaks the defaults of omitted inputs")
    return method


def _kind(annotation: ast.expr | None) -> dict[str, Any]:
    """The type of an input: `name`, or `name | None` for one that may be missing."""
    if isinstance(annotation, ast.BinOp):
        assert isinstance(annotation.right, ast.Constant) and annotation.right.value is None
        return _kind(annotation.left) | {"nullable": True}
    assert isinstance(annotation, ast.Name)
    return dict(TYPES[annotation.id])


def _literal(name: str, word: ast.keyword) -> Any:
    """The value of a keyword of `Input(...)`; a text must be written as one string on one line."""
    negative = isinstance(word.value, ast.UnaryOp) and isinstance(word.value.operand, ast.Constant)
    if negative or isinstance(word.value, ast.Constant | ast.List):
        value = ast.literal_eval(word.value)
        if not isinstance(value, str) or word.value.end_col_offset == word.value.col_offset + len(repr(value)):
            return value
    raise ValueError(f"{name}: {word.arg} is not a plain literal")


def _input(name: str, kind: dict[str, Any], said: dict[str, Any], order: int) -> Schema:
    title = {"title": name.replace("_", " ").title()} | kind
    schema: Schema = {"allOf": [{"$ref": REFERENCE + name}]} if "choices" in said else title
    schema |= {key: said[key] for key in ("description", "default") if said.get(key) is not None}
    return schema | {BOUNDS[key]: said[key] for key in BOUNDS if key in said} | {"x-order": order}


def _endpoint() -> Schema:
    """`POST /predictions`, in short."""

    def body(name: str) -> Schema:
        content = {"type": "object", "properties": {name.lower(): {"$ref": REFERENCE + name}}}
        return {"content": {"application/json": {"schema": content}}}

    answer = body("Output") | {"description": "The finished prediction"}
    return {"summary": "Predict", "requestBody": body("Input"), "responses": {"200": answer}}


if __name__ == "__main__":
    main()
