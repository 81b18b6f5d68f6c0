"""Lists the commands of `becas-ft`; every failure becomes a line for people and an exit code for scripts."""

import sys
import traceback
from typing import NoReturn

import typer

from becas_ft import errors
from becas_ft.cli.access import access
from becas_ft.cli.audit import audit
from becas_ft.cli.backup import backup
from becas_ft.cli.consent import consent
from becas_ft.cli.demo.command import demo
from becas_ft.cli.events import events
from becas_ft.cli.export import export
from becas_ft.cli.forget import forget
from becas_ft.cli.health import health
from becas_ft.cli.import_events import import_events
from becas_ft.cli.jobs import jobs
from becas_ft.cli.models import models
from becas_ft.cli.promote import promote
from becas_ft.cli.redact import redact
from becas_ft.cli.report import report
from becas_ft.cli.restore import restore
from becas_ft.cli.rollback import rollback
from becas_ft.cli.serve import serve
from becas_ft.cli.shadow import shadow
from becas_ft.cli.stats import stats
from becas_ft.cli.top import top
from becas_ft.cli.train import train
from becas_ft.cli.verify import verify
from becas_ft.cli.watch import watch

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3

app = typer.Typer(
    help="Turns the daily decisions of moderation bots into better local models.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no server answers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(top)
app.command()(demo)
app.command()(serve)
app.command()(health)
app.add_typer(access, name="access")
app.command("import")(import_events)
app.command()(export)
app.command()(stats)
app.command()(train)
app.command()(jobs)
app.command()(watch)
app.add_typer(shadow, name="shadow")
app.command()(report)
app.command()(models)
app.command()(promote)
app.command()(rollback)
app.command()(audit)
app.command()(events)
app.command()(forget)
app.command()(consent)
app.command()(redact)
app.command()(backup)
app.command()(restore)
app.command()(verify)


def main() -> NoReturn:
    """Run the command line; never returns, never shows a stack trace."""
    try:
        app()
    except (errors.BecasError, errors.CoreError) as error:
        code = EXIT_USAGE if isinstance(error, errors.UsageError) else EXIT_FAILURE
        code = EXIT_UNREACHABLE if isinstance(error, errors.UnreachableError) else code
        _fail(": ".join(str(part) for part in error.args), code)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or type(error).__name__}", EXIT_FAILURE)
    except Exception as error:  # noqa: BLE001 - a stack trace helps nobody at a prompt
        at = traceback.extract_tb(error.__traceback__)[-1]
        _fail(
            f"a defect of becas-ft, please report it: {type(error).__name__} in {at.name}, line {at.lineno}",
            EXIT_FAILURE,
        )
    sys.exit(0)


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(code)
