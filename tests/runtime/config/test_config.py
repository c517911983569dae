import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError

from runtime.archive.paths import ArchivePaths
from runtime.config import Service, load_config
from runtime.config.template import TEMPLATE
from runtime.errors import ConfigError


def _write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "c.toml"
    file.write_text(text)
    return file


def test_the_template_is_the_defaults(tmp_path: Path) -> None:
    written, none = load_config(_write(tmp_path, TEMPLATE), environment={}), load_config(environment={})
    assert written.model == none.model
    for section in ("policy", "service", "earthdata"):
        assert getattr(written, section) == getattr(none, section)
    assert written.archive.model_dump(exclude={"path"}) == none.archive.model_dump(exclude={"path"})
    rain = written.feeds.precipitation.model_dump(exclude={"path"})
    assert rain == none.feeds.precipitation.model_dump(exclude={"path"})
    assert written.feeds.soil_moisture[0].model_dump(exclude={"path"}) == none.feeds.soil_moisture[0].model_dump(
        exclude={"path"}
    )


def test_set_wins_over_environment_wins_over_file(tmp_path: Path) -> None:
    file = _write(tmp_path, "[policy]\nmax_lag_days = 1\nmax_outage_days = 1\nmax_refill_days = 1\n")
    environment = {"SEAMLESS_SM__POLICY__MAX_LAG_DAYS": "2", "SEAMLESS_SM__POLICY__MAX_OUTAGE_DAYS": "2"}
    policy = load_config(file, ["policy.max_lag_days=3"], environment).policy
    assert (policy.max_lag_days, policy.max_outage_days, policy.max_refill_days) == (3, 2, 1)


def test_a_token_is_text_and_is_not_shown(tmp_path: Path) -> None:
    service = load_config(_write(tmp_path, ""), [], {"SEAMLESS_SM__SERVICE__TOKEN": "0042"}).service
    assert service.token
    assert service.token.get_secret_value() == "0042"
    assert "0042" not in repr(service)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = load_config(_write(tmp_path, '[archive]\npath = "a"\n'), environment={})
    assert settings.archive.path == tmp_path / "a"
    assert ArchivePaths.of(settings).state == tmp_path / "a" / ".state"
    assert settings.feeds.soil_moisture[0].path == str(tmp_path / "incoming/lprm")
    paths = ArchivePaths.of(
        load_config(_write(tmp_path, '[paths]\nstate = "s"\ninbox = "i"\nengines = "e"\n'), environment={})
    )
    assert (paths.state, paths.inbox) == (tmp_path / "s", tmp_path / "i")
    assert paths.engines == tmp_path / "e"


def test_urls_are_left_alone(tmp_path: Path) -> None:
    settings = load_config(None, ["feeds.soil_moisture.0.path=s3://bucket/lprm"], {})
    assert settings.feeds.soil_moisture[0].path == "s3://bucket/lprm"


def test_a_second_feed_can_be_set(tmp_path: Path) -> None:
    text = '[[feeds.soil_moisture]]\nproduct = "lprm-amsre"\nto = 2011-10-04\n[[feeds.soil_moisture]]\nband = "c1"\n'
    settings = load_config(_write(tmp_path, text), ["feeds.soil_moisture.1.from=2012-07-03"], {})
    assert str(settings.feeds.soil_moisture[1].first) == "2012-07-03"
    assert str(settings.feeds.soil_moisture[0].last) == "2011-10-04"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[archive]\npaht = 'x'\n", "unknown key archive.paht; valid in archive: path, layout, start"),
        (
            "[modle]\n",
            "modle; valid in the file: archive, paths, grid, model, products, feeds, merge, handover, earthdata, cds, "
            "metadata, policy, service",
        ),
        (
            "[[feeds.soil_moisture]]\nbnad = 'x'\n",
            "valid in feeds.soil_moisture.0: kind, path, pattern, product, .*from, to",
        ),
        ("[[feeds.soil_moisture]]\npattern = 'x(.*'\n", "is no regular expression"),
        ("[[feeds.soil_moisture]]\npattern = 'x'\n", "has no group .*date"),
        (
            "[[feeds.soil_moisture]]\npattern = '(?P<date>x)(?!y)'\n",
            r"cannot be used: invalid perl operator: \(\?!; write it without look-around",
        ),
        ("[[feeds.soil_moisture]]\nfrom = 2020-01-02\nto = 2020-01-01\n", "from 2020-01-02 is after to 2020-01-01"),
        ("[service]\npoll_until = '03:00'\n", "poll_until 03:00 is before run_at 15:30"),
        ("[model]\nengine = 'gpu'\n", "model.engine: .*'auto', 'cpu'"),
        ("[[feeds.soil_moisture]]\nband = 'c'\n", "lprm-amsr2 has no band 'c'; it has c1, c2, x"),
        ("[policy]\nmax_lag_days = -1\n", "policy.max_lag_days"),
        ("archive = [", "not valid TOML"),
        (
            "[products.p]\nextends = 'lprm-amsr2'\norbit_words = { descending = { band = 'x' } }\n",
            "products.p: orbit_words sets band, which has a meaning of its own; rename it",
        ),
        ("[products.p]\nextends = 'lprm-amsr2'\nvariable = '{band.x}'\n", "has a word that nothing fills in"),
        ("[products.p]\nextends = 'smap-l3'\nvalid = [5, 1]\n", r"valid = \[5.0, 1.0\] wants the smallest value first"),
        (
            "[products.p]\nextends = 'smap-l3'\nstart = 2020-01-02\nend = 2020-01-01\n",
            "2020-01-02 to 2020-01-01 ends before it begins",
        ),
        (
            "[products.p]\nextends = 'smap-l3'\noutages = [[2020-01-02, 2020-01-01]]\n",
            "2020-01-02 to 2020-01-01 ends before it begins",
        ),
        (
            "[products.p]\nextends = 'smap-l3'\nquality = [{ variable = 'x', least = 2, most = 1 }]\n",
            "is larger than most = 1.0, so no value is accepted",
        ),
        ("[products.p]\nextends = 'smap-l3'\ncds = { year = '2020' }\n", "year is set for each request; leave it out"),
        ("[products.p]\nextends = 'smap-l3'\ncds = { type_of_sensor = '../x' }\n", "products.p.cds.type_of_sensor"),
        ("[cds]\nrequest = { type_of_sensor = 'a/b' }\n", "cds.request.type_of_sensor"),
        *(
            (f"[products.'{name}']\nextends = 'lprm-amsr2'\n", "is no name of a product: a folder gets it; wanted at")
            for name in ("", "..", "../x", "/x", "a b", "x" * 81)
        ),
    ],
)
def test_mistakes_are_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(_write(tmp_path, text), environment={})
    assert "c.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.engine", "--set model.engine: wanted section.key=value"),
        ("archive.path.deeper=1", "archive.path: .*valid path"),
        ("feeds.soil_moisture.7.band=x", "feeds.soil_moisture.7.band does not name a single value"),
    ],
)
def test_bad_overrides_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, [override], {})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.toml: cannot be read.*runtime init"):
        load_config(tmp_path / "nowhere.toml", environment={})


def test_a_misspelt_environment_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown key policy.max_lag"):
        load_config(None, [], {"SEAMLESS_SM__POLICY__MAX_LAG": "2"})


@pytest.mark.parametrize(
    ("overrides", "environment", "message"),
    [
        (["model.engine=foo"], {}, "^--set model.engine: model.engine: "),
        ([], {"SEAMLESS_SM__MODEL__ENGINE": "foo"}, "^SEAMLESS_SM__MODEL__ENGINE: model.engine: "),
        (["policy.max_lag_days=9"], {"SEAMLESS_SM__MODEL__ENGINE": "foo"}, "^SEAMLESS_SM__MODEL__ENGINE: "),
        (["model.engine=cpu"], {"SEAMLESS_SM__MODEL__ENGINE": "foo"}, None),
        (["model.engin=cpu"], {}, "^--set model.engin: unknown key model.engin; valid in model: "),
        (["service.poll_until=01:00"], {}, "c.toml with --set service.poll_until: service: poll_until 01:00 is before"),
    ],
)
def test_a_faulty_value_is_reported_with_its_source(
    overrides: list[str], environment: dict[str, str], message: str | None, tmp_path: Path
) -> None:
    file = _write(tmp_path, "[policy]\nmax_lag_days = 3\n")
    if message is None:
        assert load_config(file, overrides, environment).model.engine == "cpu"
        return
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(file, overrides, environment)
    assert "c.toml" in str(caught.value) or str(caught.value).startswith(("--set", "SEAMLESS_SM__"))


def test_faults_of_several_sources_are_told_apart(tmp_path: Path) -> None:
    file = _write(tmp_path, "[policy]\nmax_lag_days = -1\n")
    with pytest.raises(ConfigError) as caught:
        load_config(file, ["model.engine=foo"], {"SEAMLESS_SM__SERVICE__PORT": "x"})
    parts = str(caught.value).split("; ")
    assert [part.split(": ")[0] for part in parts] == ["--set model.engine", str(file), "SEAMLESS_SM__SERVICE__PORT"]


@pytest.mark.parametrize(
    ("file", "overrides", "environment"),
    [
        ("", [], {"POLL_UNTIL": "01:00"}),
        ("", [], {"POLL_UNTIL": "s3cr3t"}),
        ("", ["service.poll_until=01:00"], {}),
        ("[service]\ntoken = 's3cr3t'\nwebhook = 'https://example.org/s3cr3t'\npoll_until = '01:00'\n", [], {}),
        ("[service]\ntoken = ['s3cr3t']\n", [], {}),
        ("[service]\ntokn = 's3cr3t'\n", [], {}),
        ("service = 's3cr3t'\n", [], {}),
        ("service = ['s3cr3t']\n", [], {}),
        ("", ["service.token:s3cr3t"], {}),
        ("", ["service.token s3cr3t"], {}),
        ("", ["service.port=s3cr3t"], {}),
        ("", ["service.hosts=s3cr3t"], {}),
        ("", ['service.hosts=["https://s3cr3t/"]'], {}),
        ("", ["service.token.x=s3cr3t"], {}),
        ("", ["service.webhook=s3cr3t"], {}),
        ("", ["service.webhook=https://s3cr3t@example.org/"], {}),
        ("", ["service.webhook=https://example.org:99999/s3cr3t"], {}),
        ("", ["service.webhook=https://example.org/s3cr3t and more"], {}),
        ("", ["service.webhook=ftp://example.org/s3cr3t"], {}),
        ("", ["service.webhook=[1, 's3cr3t']"], {}),
        ("[service]\ntoken = 's3cr3t\n", [], {}),
    ],
)
def test_no_message_and_no_traceback_prints_a_secret(
    file: str, overrides: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    secrets = {} if file else {"TOKEN": "s3cr3t", "WEBHOOK": "https://example.org/s3cr3t"}
    named = {f"SEAMLESS_SM__SERVICE__{name}": value for name, value in (secrets | environment).items()}
    with pytest.raises(ConfigError) as caught:
        load_config(_write(tmp_path, file), overrides, named)
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))


def test_a_section_that_is_made_in_python_hides_its_values_too() -> None:
    secrets = {"token": "s3cr3t", "webhook": "https://example.org/s3cr3t"}
    with pytest.raises(ValidationError) as caught:
        Service.model_validate(secrets | {"poll_until": "01:00"})
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))
    held = Service.model_validate(secrets)
    assert "s3cr3t" not in f"{held!r} {held} {held.model_dump()} {held.model_dump_json()}"


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8080/", "https://[::1]/a?b=c#d", "https://hooks.example.org/T0/B0"]
)
def test_a_webhook_is_a_web_address(address: str) -> None:
    service = load_config(None, [f"service.webhook={address}"], {}).service
    assert service.webhook
    assert service.webhook.get_secret_value() == address


def test_importing_the_configuration_loads_no_netcdf_and_no_engine() -> None:
    code = "import runtime.config, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"netCDF4", "onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "xarray", "zarr", "matplotlib"}
    assert heavy.isdisjoint(loaded)
    assert not [name for name in loaded if name.startswith(("runtime.engines", "runtime.archive", "runtime.inputs"))]
