"""The command `smoothdino data`."""

from smoothdino_jax.apps import cli


def run_data(capsys, *arguments):
    """Its exit code, stdout and stderr."""
    code = cli.main(["data", *map(str, arguments)])
    return code, *capsys.readouterr()
