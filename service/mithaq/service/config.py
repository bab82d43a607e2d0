"""Settings of a process: from a TOML file, then the environment, then flags.

A setting that nobody knows is an error that names the nearest one, because a
misspelt limit is a limit that isn't there. Secrets are never settings: a setting may
name the file that holds one. The rule: every value can say where it came from.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast, get_args, get_origin

import grpc
from pydantic import BaseModel, ConfigDict, ValidationError
from rapidfuzz.process import extractOne

from mithaq.service.errors import MithaqError

M = TypeVar("M", bound=BaseModel)
ENVIRONMENT_PREFIX = "MITHAQ_"
SEPARATOR = "__"
NEAR_ENOUGH_PERCENT = 60
SECRET_WORDS = frozenset({"password", "passphrase", "secret", "token", "pin", "key"})
TABLE_LINE = re.compile(r"\s*\[([A-Za-z0-9_.-]+)\]")
SETTING_LINE = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*=")
FILE_SIZE_BYTES_MAX = 1024 * 1024


class Section(BaseModel):
    """A group of settings: unknown ones refused, values fixed once loaded."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class ConfigError(MithaqError):
    """A setting is unknown, wrong or missing, or the file can't be read."""

    code = "MQ-CONFIG-INVALID"
    public_message = "The configuration is not usable."
    fix = "Correct the setting named; `mithaq config show FOLDER --origin` lists all."
    grpc_status = grpc.StatusCode.INVALID_ARGUMENT


@dataclass(frozen=True, slots=True)
class Loaded(Generic[M]):
    """Settings with, for each, where it came from: `default`, `file …`, `env …`, `flag`."""

    value: M
    origins: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Given:
    """A value that somebody gave for a setting, and where."""

    value: object
    origin: str


def load(
    model: type[M],
    *,
    file: Path | None = None,
    env_prefix: str = ENVIRONMENT_PREFIX,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Loaded[M]:
    """Return the settings of `model`; later sources win: file, environment, flags.

    `flags` maps dotted names (`hub.port`) to values, None meaning not given.

    Raises:
        ConfigError: naming the setting, where it was given, and what to do.

    """
    known = dict(settings(model))
    refuse_secrets(known)
    variables = os.environ if environment is None else environment
    given = {
        **(from_file(file) if file is not None else {}),
        **from_environment(variables, prefix=env_prefix, known=known),
        **from_flags(flags or {}),
    }
    check_known(given, known)
    value = validated(model, given)
    return Loaded(value, {name: origin_of(name, given) for name in known})


def settings(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, object]]:
    """Yield the dotted name and the type of every setting of a model and its sections."""
    for name, info in model.model_fields.items():
        annotation = info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from settings(annotation, f"{path}{name}.")
        else:
            yield f"{path}{name}", annotation


def refuse_secrets(known: Mapping[str, object]) -> None:
    """Raise TypeError for a setting of ours that would hold a secret instead of naming a file."""
    for name, annotation in known.items():
        words = name.rpartition(".")[2].split("_")
        if set(words) & SECRET_WORDS and Path not in (annotation, *get_args(annotation)):
            raise TypeError(f"the setting {name} holds a secret; name the file that holds it")


def from_file(file: Path) -> dict[str, Given]:
    """Return the settings in a TOML file by dotted name."""
    try:
        if file.stat().st_size > FILE_SIZE_BYTES_MAX:
            raise unusable(f"{file} is larger than {FILE_SIZE_BYTES_MAX} bytes")
        text = file.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except OSError as error:
        raise unusable(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # Both say where and which rule, and quote at most one character.
        raise unusable(f"{file}: {error}") from None
    except (ValueError, RecursionError):
        # The library's own limits, which it doesn't tell as its own error.
        raise unusable(f"{file}: a number is too long, or lists lie too deep") from None
    lines = line_numbers(text)
    return {
        name: Given(value, f"file {file}:{lines.get(name, 1)}") for name, value in flattened(tables)
    }


def unusable(why: str) -> ConfigError:
    """Return the error about a whole file; whoever starts the process may know its name."""
    return ConfigError(why, public_message=why)


def flattened(tables: Mapping[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    """Yield every value of nested tables with its dotted name."""
    for name, value in tables.items():
        if isinstance(value, dict):
            yield from flattened(cast("dict[str, object]", value), f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def line_numbers(text: str) -> dict[str, int]:
    """Return the line of each plainly written setting; an unusual spelling is left out."""
    section, lines = "", dict[str, int]()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := TABLE_LINE.match(line):
            section = f"{header[1]}."
        elif setting := SETTING_LINE.match(line):
            lines[section + setting[1]] = number
    return lines


def from_environment(
    variables: Mapping[str, str], *, prefix: str, known: Mapping[str, object]
) -> dict[str, Given]:
    """Return the settings in variables such as MITHAQ_HUB__PORT, by dotted name.

    A variable without `__` counts only if it names a setting: platforms set variables
    of their own under any service's name.
    """
    given: dict[str, Given] = {}
    for variable, text in variables.items():
        if not variable.startswith(prefix):
            continue
        name = variable.removeprefix(prefix).lower().replace(SEPARATOR, ".")
        if "." in name or name in known:
            given[name] = Given(from_text(text, known.get(name)), f"env {variable}")
    return given


def from_text(text: str, annotation: object) -> object:
    """Return a variable's text as a value: JSON or a comma list where several are expected."""
    if get_origin(annotation) not in (list, tuple, set, frozenset, dict):
        return text
    if text.startswith(("[", "{")):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return [item.strip() for item in text.split(",") if item.strip()]


def from_flags(flags: Mapping[str, object]) -> dict[str, Given]:
    """Return the flags that were given, by dotted name."""
    return {
        name: Given(value, f"flag {name}") for name, value in flags.items() if value is not None
    }


def check_known(given: Mapping[str, Given], known: Mapping[str, object]) -> None:
    """Raise ConfigError for a setting that doesn't exist, naming the nearest that does."""
    for name, each in given.items():
        if name not in known:
            found = extractOne(name, known.keys(), score_cutoff=NEAR_ENOUGH_PERCENT)
            hint = f"; did you mean {found[0]}?" if found else ""
            raise ConfigError(
                f"{each.origin}: there is no setting {name}{hint}",
                public_message=f"{each.origin}: there is no setting {name}{hint}",
            )


def validated(model: type[M], given: Mapping[str, Given]) -> M:
    """Return the model; raise ConfigError naming each setting that is wrong and its origin."""
    try:
        return model.model_validate(nested(given))
    except ValidationError as error:
        faults = [
            fault_line(".".join(str(part) for part in each["loc"]), each["msg"], given)
            for each in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    raise ConfigError("; ".join(faults), public_message="; ".join(faults))


def fault_line(name: str, rule: str, given: Mapping[str, Given]) -> str:
    """Return one line about a wrong setting, without its value."""
    return f"{origin_of(name, given)}: {name}: {rule}"


def nested(given: Mapping[str, Given]) -> dict[str, Any]:
    """Return dotted names as nested tables."""
    tables: dict[str, Any] = {}
    for name, each in given.items():
        *sections, last = name.split(".")
        table = tables
        for section in sections:
            table = table.setdefault(section, {})
        table[last] = each.value
    return tables


def origin_of(name: str, given: Mapping[str, Given]) -> str:
    """Return where a setting's value came from."""
    return given[name].origin if name in given else "default"
