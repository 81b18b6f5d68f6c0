"""Get a Chromium for the dashboard's tests: the one that is there, else the system's package, else Playwright's own."""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
VARIABLE = "BECAS_CHROMIUM"
SECONDS = 600


def main() -> None:
    """Say which one it is; without one, tests of the dashboard are skipped, or fail where they are required."""
    if os.environ.get(VARIABLE) or any(map(shutil.which, NAMES)):
        return
    if shutil.which("apt-get") and os.geteuid() == 0:
        print("► Chromium (apt-get)")
        quiet = {"DEBIAN_FRONTEND": "noninteractive", **os.environ}
        commands = (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"],
        )
        if all(succeeds(command, quiet) for command in commands) and any(map(shutil.which, NAMES)):
            return
    print("► Chromium (Playwright)")
    if not succeeds([sys.executable, "-m", "playwright", "install", "chromium"], dict(os.environ)):
        print(
            f"no Chromium: install one (Debian: apt-get install chromium), or name one with {VARIABLE};"
            " tests of the dashboard are skipped without it",
            file=sys.stderr,
        )


def succeeds(command: list[str], environment: dict[str, str]) -> bool:
    """Whether a command ended well, and in time."""
    try:
        return (
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, timeout=SECONDS, check=False).returncode
            == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


if __name__ == "__main__":
    main()
