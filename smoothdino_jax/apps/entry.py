"""What `train.py` and `eval.py` share: flags, and errors that people can read."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from smoothdino_jax import interrupts
from smoothdino_jax.data.frames import DataError
from smoothdino_jax.monitor import TrainingDiverged


def run(main: Callable[[ConfigDict, Path], object], doc: str, resumes: bool = False) -> None:
    """Runs `main(config, workdir)` from the command line.

    Bad input ends with one line on standard error and exit code 2; Ctrl-C says how to go on.

    Args:
        main: the program.
        doc: its help text.
        resumes: the same command goes on after an interruption.
    """
    sys.modules["__main__"].__doc__ = doc
    config = config_flags.DEFINE_config_file("config", None, "Configuration file, see configs/.", lock_config=True)
    workdir = flags.DEFINE_string("workdir", None, "Folder for everything that is written.")
    flags.mark_flags_as_required(["config", "workdir"])
    for name in ("config", "workdir"):  # or --help would leave them out, as they are defined in this module
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])

    def start(argv: list[str]) -> None:
        if len(argv) > 1:
            _fail(f"unexpected argument {argv[1]!r}; options look like --config.train.steps=100")
        logging.set_verbosity(logging.WARNING)  # Orbax and JAX tell of their inner life below that
        logging.get_absl_handler().setFormatter(None)
        try:
            with interrupts.restored(keep=(DataError, TrainingDiverged)):
                main(config.value, Path(workdir.value))
        except (DataError, TrainingDiverged) as error:
            _fail(str(error))
        except (ValueError, TypeError, OSError) as error:
            if os.environ.get("SMOOTHDINO_TRACEBACK"):
                raise
            _fail(_no_config(error) or f"{' '.join(str(error).split())} (SMOOTHDINO_TRACEBACK=1 shows where)")
        except KeyboardInterrupt:
            interrupts.stop(f"interrupted; {_way_on(Path(workdir.value))}" if resumes else "interrupted")

    app.run(start, flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
    # ml_collections raises for a wrong --config.field while flags are parsed; absl would show a traceback.
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        # For a config file that raises, the message is a whole traceback: what was raised is its last line.
        message = str(error).strip().splitlines()[-1].removeprefix("ValueError: ")
        if "must have a value other than None" in message:
            missing = [f"--{name}" for name in ("config", "workdir") if not flags.FLAGS[name].present]
            message = f"{' and '.join(missing)} must be given"
        _fail(f"{message} (--help tells the options)")
    except (KeyError, AttributeError) as error:
        _fail(f"{_no_field(_on_a_line(error), argv)} (all fields: smoothdino_jax/config.py)")
    except (TypeError, ValueError, OSError) as error:
        _fail(_no_config(error) or f"{_on_a_line(error)} (all fields: smoothdino_jax/config.py)")
    except (ImportError, SyntaxError) as error:
        _fail(f"the config file can't be used: {' '.join(str(error).split())}")


def _no_config(error: Exception) -> str | None:
    """ml_collections tells of a missing config file at length, and only when a field is asked for."""
    found = re.search(r"Failed loading config file.*No such file or directory: '([^']*)'", str(error), re.DOTALL)
    return found and f"no such config file: {found[1]}"


def _no_field(message: str, argv: list[str]) -> str:
    """What ml_collections says of a field that is not there, with the option that named it."""
    name, meant = re.match(r"\W*(\w+)", message), re.search(r'Did you mean "(\w+)"', message)
    option = next((arg for arg in argv if name and name[1] in arg.partition("=")[0].lstrip("-").split(".")), None)
    if option is None and not meant:
        return message
    told = f'there is no field "{name[1]}"' + (f', did you mean "{meant[1]}"?' if meant else "")
    return f"{option}: {told}" if option else told


def _on_a_line(message: object) -> str:
    """ml_collections' messages are quoted more than once, and have several lines."""
    return " ".join(str(message).replace("\\n", " ").replace("\\'", "'").strip("'\"").split())


def _way_on(workdir: Path) -> str:
    steps = [int(path.name) for path in workdir.glob("checkpoints/*") if path.name.isdigit()]
    if not steps:
        return f"{workdir} has no checkpoint yet, so the same command starts anew"
    return f"a training goes on from its last checkpoint, step {max(steps)}, with the same command"


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(2)
