"""The command line. Each command only reads its options; the work is done in the module of its name."""

import importlib
import sys
from collections.abc import Callable
from typing import Any

import click

from .config import Config, ConfigurationError, load, one_route
from .variables import say_routes

_DEMO_APP = "batchwire.demo.app:app"
_DEMO_NEEDS = ("starlette", "docx", "python_multipart")
_DEMO_ROOTS = {"main": "/v4/words/", "sdk": "/v4.0/words/"}
_ADDRESS_FORMS = 'HOST:PORT, unix:/path, systemd:NAME, or "" for none'
_NO_ROUTE = (
    "give --config FILE, --upstream URL or --app MODULE:ATTR, or set BATCHWIRE_UPSTREAMS and BATCHWIRE_ROUTES "
    "(or try `batchwire demo`)"
)
_EXAMPLES_SERVE = """
\b
Examples:
  batchwire serve --upstream http://127.0.0.1:9000/ --root /svc/
  batchwire serve --app mypackage.app:app
  batchwire serve --config batchwire.toml --workers 4

Settings come from the file, then from the environment (BATCHWIRE_LISTEN__HTTP=...), then from the options here. The
bound addresses are logged when the listeners are up; /readyz answers 200 when batches are taken.
"""


def _listener_options(command: Any) -> Any:
    for option in (
        click.option("--log-format", type=click.Choice(["json", "console"]), help="Form of the logs on stderr."),
        click.option("--workers", type=click.IntRange(min=1), help="Processes that share the listeners."),
        click.option("--http", metavar="ADDRESS", help=f"REST listener: {_ADDRESS_FORMS}. [default: 127.0.0.1:8080]"),
        click.option("--grpc", metavar="ADDRESS", help=f"gRPC listener: {_ADDRESS_FORMS}. [default: 127.0.0.1:50051]"),
    ):
        command = option(command)
    return command


def _overrides(grpc: str | None, http: str | None, workers: int | None, log_format: str | None) -> dict[str, Any]:
    listen = {"grpc": grpc, "http": http, "workers": workers}
    made: dict[str, Any] = {"listen": {key: value for key, value in listen.items() if value is not None}}
    if log_format is not None:
        made["log"] = {"format": log_format}
    return made


def _load(path: str | None, overrides: dict[str, Any]) -> Config:
    try:
        return load(path, overrides)
    except ConfigurationError as error:
        raise click.UsageError(f"the configuration is not valid:\n{error}") from None


def _need_demo() -> None:
    try:
        for name in _DEMO_NEEDS:
            importlib.import_module(name)
    except ImportError as error:
        advice = 'install the extra demo: pip install "PATH[demo]", PATH of the wheel or the checkout'
        raise click.ClickException(f"the demo needs more packages ({error}); {advice}") from None


def _run(config: Config, announce: Callable[[str], None] | None = None) -> None:
    """announce: called with the address of the REST listener ("": none) when all listeners are up."""
    from .logs import set_up
    from .workers import run

    set_up(config.log.format, config.log.level)
    try:
        sys.exit(run(config, announce))
    except (ConfigurationError, OSError) as error:
        raise click.ClickException(str(error)) from None


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="batchwire")
def main() -> None:
    """A batch gateway: many HTTP calls in one request, over gRPC or REST.

    `batchwire demo` starts one with a demo upstream; `batchwire serve` puts it before your own service.
    """


@main.command(epilog=_EXAMPLES_SERVE)
@click.option("--config", "path", metavar="FILE", help="Configuration file (TOML); see docs/configuration.md.")
@click.option("--upstream", metavar="URL", help="Serve one upstream: http://host:port/base/, https://..., unix:/path.")
@click.option("--app", metavar="MODULE:ATTR", help="Serve one ASGI app in this process.")
@click.option("--root", metavar="PATH", help="Public service root of the one route. [default: /]")
@_listener_options
def serve(
    path: str | None,
    upstream: str | None,
    app: str | None,
    root: str | None,
    grpc: str | None,
    http: str | None,
    workers: int | None,
    log_format: str | None,
) -> None:
    """Start the gateway.

    The routes come from --config, or one route from --upstream or --app, or all is in the environment.
    """
    if upstream and app:
        raise click.UsageError("give --upstream or --app, not both")
    if path and (upstream or app or root):
        raise click.UsageError("--upstream, --app and --root describe a route; with --config it stands in the file")
    if not (path or upstream or app):
        if not say_routes():
            raise click.UsageError(_NO_ROUTE)
        if root:
            raise click.UsageError("--root describes a route; here they stand in BATCHWIRE_ROUTES")
    overrides = _overrides(grpc, http, workers, log_format)
    if upstream or app:
        overrides |= one_route(upstream or "", app or "", root or "/")
    _run(_load(path, overrides))


@main.command()
@_listener_options
def demo(grpc: str | None, http: str | None, workers: int | None, log_format: str | None) -> None:
    """Start the gateway with the demo upstream: a small word-processing API over .docx documents.

    Its batch endpoint is http://127.0.0.1:8080/v4/words/$batch. The public document SDKs find the same documents at the
    base URL http://127.0.0.1:8080, without authentication: for the loopback only. Documents live in memory and are gone
    at the end; with several workers each has its own. Needs the extra: pip install "PATH[demo]", PATH of the wheel or
    the checkout.
    """
    _need_demo()
    overrides = _overrides(grpc, http, workers, log_format or "console")
    overrides |= {
        "upstreams": {name: {"app": _DEMO_APP, "base": root} for name, root in _DEMO_ROOTS.items()},
        "routes": [
            {"root": root, "upstream": name, "default": name == "main", "serve_app": True}
            for name, root in _DEMO_ROOTS.items()
        ],
    }
    _run(_load(None, overrides), _announce_demo)


def _announce_demo(address: str) -> None:
    if address and not address.startswith("unix:"):
        print(f"Batches by REST: POST http://{address}{_DEMO_ROOTS['main']}$batch", file=sys.stderr)
        print(f"Base URL for document SDKs: http://{address}", file=sys.stderr)


@main.command()
@click.argument("file")
@click.option("--http", metavar="URL", help="Send by REST to this batch URL, such as http://127.0.0.1:8080/svc/$batch.")
@click.option("--grpc", metavar="HOST:PORT", help="Send by gRPC to this address; grpcs://HOST:PORT: over TLS.")
@click.option("--route", metavar="PATH", default="", help="Service root of the route, for --grpc.")
@click.option(
    "--header",
    "headers",
    metavar="'NAME: VALUE'",
    multiple=True,
    help="A header of the batch request, or metadata of the gRPC call, such as 'Authorization: ...'; may be repeated.",
)
@click.option("--ca-file", metavar="FILE", default="", help="PEM of the CA, for TLS. [default: what the system trusts]")
@click.option(
    "--cert-file", metavar="FILE", default="", help="PEM of the client's certificate, where the gateway asks for one."
)
@click.option("--key-file", metavar="FILE", default="", help="PEM of its key, without a password.")
@click.option(
    "--timeout",
    type=float,
    default=300.0,
    show_default=True,
    help="Seconds for the whole batch: the gateway answers 504 for the calls that are late.",
)
@click.option(
    "--output", metavar="FILE", default="-", help="Where the JSON answer goes, byte by byte. [default: stdout]"
)
@click.option("--progress/--no-progress", default=None, help="Progress bar. [default: on a terminal]")
def call(
    file: str,
    http: str | None,
    grpc: str | None,
    route: str,
    headers: tuple[str, ...],
    ca_file: str,
    cert_file: str,
    key_file: str,
    timeout: float,
    output: str,
    progress: bool | None,
) -> None:
    """Send the OData JSON batch in FILE ("-": standard input) to a gateway.

    \b
    Exit code: 0  every call was answered 2xx
               1  some call was not
               2  no call was run: the batch could not be sent, or was refused as a whole
               3  it broke off, or was not answered: calls may have been run
             130  interrupted (129, 143: by SIGHUP, SIGTERM); calls may have been run
             141  nobody reads the answer any more; calls may have been run

    With 3 and a signal, the results that came are in the file FILE.part beside that of --output, which is left as it
    was; standard output has the answer as far as it came.
    """
    if http and grpc:
        raise click.UsageError("give --http URL or --grpc HOST:PORT, not both")
    if not (http or grpc):
        raise click.UsageError("give --http URL or --grpc HOST:PORT")
    if route and http:
        raise click.UsageError("--route is for --grpc; with --http the URL says the route")
    if bool(cert_file) != bool(key_file):
        raise click.UsageError("--cert-file and --key-file go together")
    from .call import run_call
    from .call_rest import TlsFiles

    files = TlsFiles(ca_file, cert_file, key_file)
    sys.exit(run_call(file, http, grpc, route, timeout, output, progress, files, headers))


@main.command()
@click.option("--config", "path", metavar="FILE", help="Configuration file to check.")
@click.option("--batch", metavar="FILE", help='OData JSON batch to check; "-" for standard input.')
@click.option(
    "--root",
    metavar="PATH",
    help="Service root that the batch is for. [default: the default route; without --config: /]",
)
@click.option(
    "--strict",
    "announced",
    is_flag=True,
    help="Judge the batch as that of a client which announces OData 4.01, as `batchwire call --http` does.",
)
def check(path: str | None, batch: str | None, root: str | None, announced: bool) -> None:
    """Check a configuration, a batch document, or both, without starting or sending anything.

    What `serve` would refuse is told here; apps in the process are imported for that, and certificates loaded. A batch
    is judged with the limits of the configuration and the settings of its route, and as that of a client which does not
    announce OData 4.01 (see --strict). Where BATCHWIRE_ROUTES is set, the environment is a configuration without
    --config, too.
    Exit code 0 when nothing is wrong, 1 when something is; each thing that is wrong has its own line.
    """
    if not (path or batch or say_routes()):
        raise click.UsageError("give --config FILE, --batch FILE, or both")
    if announced and not batch:
        raise click.UsageError("--strict is for --batch")
    from .check import check as look_over

    wrong = look_over(path, batch, root, announced)
    for line in wrong:
        click.echo(line)
    sys.exit(1 if wrong else 0)
