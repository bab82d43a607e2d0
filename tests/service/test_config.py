"""Settings: file, environment, flags in this order, and nothing misspelt passes."""

from pathlib import Path

import pytest
from pydantic import Field

from mithaq.service.config import FILE_SIZE_BYTES_MAX, ConfigError, Section, load


class Hub(Section):
    """Example of a section."""

    port: int = Field(default=7443, ge=1, le=65535)
    hosts: list[str] = Field(default_factory=list)
    key_file: Path | None = None


class Settings(Section):
    """Example of a process's settings."""

    name: str
    hub: Hub = Hub()
    verbose: bool = False


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "hub.toml"
    path.write_text('name = "hub"\n\n[hub]\n# a comment\nport = 1\nhosts = ["a"]\n')
    return path


def test_each_source_wins_over_the_one_before(file: Path) -> None:
    environment = {"MITHAQ_HUB__PORT": "2"}
    assert load(Settings, file=file, environment={}).value.hub.port == 1
    assert load(Settings, file=file, environment=environment).value.hub.port == 2
    flags = {"hub.port": 3, "verbose": None}
    loaded = load(Settings, file=file, environment=environment, flags=flags)
    assert (loaded.value.hub.port, loaded.value.hub.hosts) == (3, ["a"])


def test_every_value_says_where_it_came_from(file: Path) -> None:
    loaded = load(
        Settings, file=file, environment={"MITHAQ_HUB__HOSTS": "b, c"}, flags={"verbose": True}
    )
    assert loaded.value.hub.hosts == ["b", "c"]
    assert loaded.origins == {
        "name": f"file {file}:1",
        "hub.port": f"file {file}:5",
        "hub.hosts": "env MITHAQ_HUB__HOSTS",
        "hub.key_file": "default",
        "verbose": "flag verbose",
    }


@pytest.mark.parametrize(
    ("text", "hosts"),
    [("a,b", ["a", "b"]), ('["a", "b"]', ["a", "b"]), ("", []), ("a", ["a"])],
)
def test_lists_are_written_with_commas_or_as_json(text: str, hosts: list[str]) -> None:
    environment = {"MITHAQ_NAME": "x", "MITHAQ_HUB__HOSTS": text}
    assert load(Settings, environment=environment).value.hub.hosts == hosts


def test_a_list_that_is_no_json_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"env MITHAQ_HUB__HOSTS: hub\.hosts"):
        load(Settings, environment={"MITHAQ_NAME": "x", "MITHAQ_HUB__HOSTS": "[a"})


def test_a_misspelt_setting_names_its_place_and_the_nearest(file: Path) -> None:
    file.write_text('name = "hub"\n[hub]\nprot = 1\n')
    with pytest.raises(ConfigError, match=r"hub.toml:3: there is no setting hub.prot; .*hub.port"):
        load(Settings, file=file, environment={})


def test_a_misspelt_variable_names_its_place_and_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"env MITHAQ_HUB__PROT.*did you mean hub.port"):
        load(Settings, environment={"MITHAQ_NAME": "x", "MITHAQ_HUB__PROT": "1"})


def test_a_setting_like_no_other_has_no_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        load(Settings, environment={"MITHAQ_ZZZ__QQQ": "1"})
    assert "did you mean" not in str(caught.value)


def test_variables_that_platforms_set_are_none_of_ours() -> None:
    environment = {"MITHAQ_NAME": "x", "MITHAQ_HUB_SERVICE_HOST": "10.0.0.1", "PATH": "/bin"}
    assert load(Settings, environment=environment).value.name == "x"


def test_a_wrong_value_names_its_origin_and_rule_but_not_itself(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(Settings, file=file, environment={"MITHAQ_HUB__PORT": "hidden"})
    assert "env MITHAQ_HUB__PORT: hub.port: Input should be a valid integer" in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert caught.value.public_message == str(caught.value)


@pytest.mark.parametrize("port", [0, 65536])
def test_limits_of_a_setting_hold(port: int) -> None:
    with pytest.raises(ConfigError, match=r"hub\.port"):
        load(Settings, environment={}, flags={"name": "x", "hub.port": port})


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(ConfigError, match="name: Field required"):
        load(Settings, environment={})


def test_a_file_that_is_no_toml_names_the_line(file: Path) -> None:
    file.write_text("name =\n")
    with pytest.raises(ConfigError, match="line 1"):
        load(Settings, file=file, environment={})


@pytest.mark.parametrize("value", ["[" * 5000, "1" * 5000], ids=["nested", "digits"])
def test_what_the_library_will_not_read_is_said_of_the_file(file: Path, value: str) -> None:
    file.write_text(f"name = {value}\n")
    with pytest.raises(ConfigError, match=r"hub\.toml"):
        load(Settings, file=file, environment={})


def test_a_variable_that_the_library_will_not_read_is_a_wrong_value() -> None:
    for text in ("[" * 100_000, "[" + "1" * 5000 + "]"):
        with pytest.raises(ConfigError):
            load(Settings, environment={"MITHAQ_HUB__HOSTS": text})


def test_a_file_that_is_not_there_or_too_large_is_named(file: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(Settings, file=file.with_name("absent.toml"), environment={})
    file.write_text("#" * (FILE_SIZE_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match="larger"):
        load(Settings, file=file, environment={})
    file.write_bytes(b'name = "\xff"')
    with pytest.raises(ConfigError, match=r"hub\.toml"):
        load(Settings, file=file, environment={})


def test_a_section_given_as_a_value_is_refused(file: Path) -> None:
    file.write_text('name = "x"\nhub = 1\n')
    with pytest.raises(ConfigError, match="no setting hub"):
        load(Settings, file=file, environment={})


def test_settings_cannot_change_once_loaded() -> None:
    settings = load(Settings, environment={"MITHAQ_NAME": "x"}).value
    with pytest.raises(ValueError, match="frozen"):
        settings.name = "y"


class Secretive(Section):
    """A section that somebody should not have written."""

    database_password: str = ""


class Pointing(Section):
    """A section as it should be."""

    passphrase_file: Path = Path("/absent")


def test_a_setting_that_would_hold_a_secret_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="database_password"):
        load(Secretive, environment={})
    assert load(Pointing, environment={}).value.passphrase_file == Path("/absent")
