"""Writes the files with which ``mlflow.pyfunc`` can load a registered package.

In: the config of a package. Out: ``MLmodel``, the script that runs the model, its requirements and
an example. Next: ``poise.tracking.registry.registration``, which stores these files beside the
package.

MLflow's own ``save_model`` would run the model and copy its weights. The files written here are
small, and the model does not run. The files and checksums of the package do not change.
"""

import base64
import io
import json
import platform
import shutil
from collections.abc import Mapping
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from mlflow.models import Model
from mlflow.models.signature import ModelSignature
from mlflow.types.schema import (
    AnyType,
    ColSpec,
    DataType,
    ParamSchema,
    ParamSpec,
    Schema,
    TensorSpec,
)
from PIL import Image

from poise.models.checksums import WEIGHTS_FILE
from poise.models.timm_description import describe_in_timm

SCRIPT_FILE: Final = "model.py"
EXAMPLE_FILE, SERVED_EXAMPLE_FILE = "input_example.json", "serving_input_example.json"

_REQUIREMENTS_FILE, _ENVIRONMENT_FILE = "requirements.txt", "python_env.yaml"
_NEEDED = ("mlflow", "numpy", "pillow", "safetensors", "timm", "torch", "torchvision")
_FLAVOR = "python_function"
_LOADER = "mlflow.pyfunc.loaders.code_model"  # runs a script; the other loader reads a pickle
_EXAMPLE_PX = 32


def write_flavor(folder: Path, config: Mapping[str, Any], name: str, ids: tuple[str, str]) -> None:
    """Writes MLflow's files into an existing folder.

    Args:
        folder: folder for the files.
        config: config of the package.
        name: name of the model.
        ids: id of the run and id of the logged model.

    Raises:
        PoiseError: timm alone cannot build this backbone.
    """
    described = describe_in_timm(config)
    shutil.copy(Path(__file__).with_name("model_script.py"), folder / SCRIPT_FILE)
    (folder / _REQUIREMENTS_FILE).write_text("\n".join(requirements()) + "\n")
    environment = {
        "python": platform.python_version(),
        "build_dependencies": ["pip"],
        "dependencies": [f"-r {_REQUIREMENTS_FILE}"],
    }
    (folder / _ENVIRONMENT_FILE).write_text(yaml.safe_dump(environment, sort_keys=False))
    example = [_example()]
    (folder / EXAMPLE_FILE).write_text(json.dumps(example))
    (folder / SERVED_EXAMPLE_FILE).write_text(json.dumps({"inputs": example}))
    _model(described, name, ids).save(str(folder / "MLmodel"))


def requirements() -> list[str]:
    """Lists the packages that the model's script needs, in the versions that this process uses."""
    # A version such as 2.11.0+cu128 exists in one index only.
    return [f"{name}=={installed_version(name).partition('+')[0]}" for name in _NEEDED]


def _model(described: dict[str, Any], name: str, ids: tuple[str, str]) -> Model:
    run_id, model_id = ids
    model = Model(artifact_path=name, run_id=run_id, model_id=model_id, signature=_signature())
    model.saved_input_example_info = {
        "artifact_path": EXAMPLE_FILE,
        "serving_input_path": SERVED_EXAMPLE_FILE,
        "type": "json_object",
    }
    # As `mlflow.pyfunc.add_to_model` does. Its import takes a second and prints warnings.
    model.add_flavor(
        _FLAVOR,
        loader_module=_LOADER,
        python_version=platform.python_version(),
        env={"virtualenv": _ENVIRONMENT_FILE},
        model_code_path=SCRIPT_FILE,
        config=described,  # reaches the script as `context.model_config`
        artifacts={"weights": {"path": WEIGHTS_FILE, "uri": WEIGHTS_FILE}},
    )
    return model


def _signature() -> ModelSignature:
    """Describes input, output and parameters.

    A signature has one output. It describes embeddings, which are the default. Dense features
    have four dimensions, and MLflow does not check outputs.
    """
    signature = ModelSignature(
        inputs=Schema([ColSpec(AnyType())]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, -1))]),
        params=ParamSchema([ParamSpec("features", DataType.string, "embedding")]),
    )
    # The script's type hint `list[Any]` checks the input. Otherwise MLflow would make a data frame
    # of the images, which fails for arrays.
    signature._is_signature_from_type_hint = True
    return signature


def _example() -> str:
    """Makes an example of an input: a small picture as a data URI, which every client can send."""
    ramp = np.linspace(0, 255, _EXAMPLE_PX).astype(np.uint8)
    pixels = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], np.uint8(128)), axis=-1)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
