"""Generates the Python code of the wire format; it is committed beside the .proto files.

`python protos/generate.py` writes it, `--check` compares it with what is committed
(and exits 1 where they differ), `--image FILE` writes the descriptor image that
`buf lint` reads. The rule: whoever changes a .proto commits what this writes.

The protos say their limits with `buf/validate/validate.proto`. The protovalidate
package that enforces them carries that file's descriptor, but neither its text nor
the `buf.validate.validate_pb2` that generated code imports, and no other package of
our lock has them. So the descriptor is taken from the installed package, the rules
can't drift from what enforces them, and the module is generated from it and shipped
in our wheel. `buf` and `buf.validate` stay namespace folders, so that they meet
another package's without hiding it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from google.protobuf import (
    descriptor_pb2,
    duration_pb2,
    field_mask_pb2,
    timestamp_pb2,
)
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from protovalidate._gen.buf.validate import validate_pb

ROOT = Path(__file__).parent
RULES = "buf/validate/validate.proto"
WELL_KNOWN = (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2)
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi", "record_values.py")


class GenerationError(Exception):
    """A .proto could not be compiled; the compiler has printed why."""


def rules_descriptors() -> FileDescriptorSet:
    """Return the validation rules' descriptor, after the files that it imports."""
    descriptors = FileDescriptorSet()
    for module in WELL_KNOWN:
        module.DESCRIPTOR.CopyToProto(descriptors.file.add())
    descriptors.file.add().ParseFromString(validate_pb.desc().proto.to_binary())
    return descriptors


def run_protoc(*arguments: str) -> None:
    """Run the compiler that grpcio-tools carries; raise GenerationError if it fails."""
    command = [sys.executable, "-m", "grpc_tools.protoc", *arguments]
    if subprocess.run(command, check=False).returncode != 0:  # noqa: S603 (our own arguments)
        raise GenerationError


def compile_image(image: Path) -> FileDescriptorSet:
    """Write all protos with their imports and comments as one descriptor set."""
    sources = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("mithaq/**/*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        rules = Path(scratch, "rules.binpb")
        rules.write_bytes(rules_descriptors().SerializeToString(deterministic=True))
        run_protoc(
            f"--descriptor_set_in={rules}",
            f"--proto_path={ROOT}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={image}",
            *sources,
        )
    return FileDescriptorSet.FromString(image.read_bytes())


def generate(into: Path) -> None:
    """Write messages, stubs and servicers where there are services, and a record's values."""
    # Beside the interpreter, so that PATH has no say in which plugin runs.
    plugins = [
        f"--plugin=protoc-gen-{name}={Path(sys.executable).parent / f'protoc-gen-{name}'}"
        for name in ("mypy", "mypy_grpc")
    ]
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch, "image.binpb")
        ours = [
            file
            for file in compile_image(image).file
            if not file.name.startswith("google/protobuf/")
        ]
        source = f"--descriptor_set_in={image}"
        run_protoc(
            source,
            *plugins,
            f"--python_out={into}",
            f"--mypy_out=quiet:{into}",
            *(file.name for file in ours),
        )
        if services := [file.name for file in ours if file.service]:
            run_protoc(
                source,
                *plugins,
                f"--grpc_python_out={into}",
                f"--mypy_grpc_out=quiet:{into}",
                *services,
            )
    write_values(into)


def write_values(into: Path) -> None:
    """Write the code that reads a record's values, from the messages that were just generated."""
    command = [sys.executable, "-P", str(ROOT / "value_code.py"), str(into)]
    # Before all others, and before this file's folder: what was generated last is stale.
    fresh = {**os.environ, "PYTHONPATH": str(into)}
    if subprocess.run(command, check=False, env=fresh).returncode != 0:  # noqa: S603 (our own)
        raise GenerationError


def generated_files(root: Path) -> Iterator[Path]:
    """Yield the generated files below a folder, relative to it."""
    for pattern in GENERATED:
        for path in root.rglob(pattern):
            yield path.relative_to(root)


def differences(fresh: Path) -> list[Path]:
    """Return the files that are missing, left over, or other than committed."""

    def content(path: Path) -> bytes | None:
        return path.read_bytes() if path.exists() else None

    both = {*generated_files(fresh), *generated_files(ROOT)}
    return sorted(path for path in both if content(fresh / path) != content(ROOT / path))


def replace_committed(fresh: Path) -> None:
    """Bring the tree to what was generated, leftovers of removed protos included."""
    for path in differences(fresh):
        if (fresh / path).exists():
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(fresh / path, ROOT / path)
        else:
            (ROOT / path).unlink()


def main() -> int:
    """Return the exit code: 1 if `--check` found a difference."""
    parser = argparse.ArgumentParser(description="Generate the Python code of the protos.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--image", type=Path, help="write the image for buf and nothing else")
    options = parser.parse_args()
    if options.image:
        options.image.parent.mkdir(parents=True, exist_ok=True)
        compile_image(options.image)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(fresh)
        if not options.check:
            replace_committed(fresh)
            return 0
        stale = differences(fresh)
    for path in stale:
        sys.stderr.write(f"stale: protos/{path}; run `make protos` and commit it\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
