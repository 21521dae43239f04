"""The command line of every verb, parsed by jsonargparse: one spelling, one style of help, one style of errors."""

import os
import re
from argparse import ArgumentError
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace

from components.errors import UsageError
from pipeline.config import RunConfig
from pipeline.options.keys import accepted, as_option, keys_of, sections
from pipeline.options.suggestions import did_you_mean, nearest

_BOOLEANS = {"true": "true", "1": "true", "false": "false", "0": "false"}
# Values of jsonargparse's help page, as they are written on the command line.
_WORDS = {"null": "none", "True": "true", "False": "false"}


class CommandLine:
    """Options and positional arguments of one verb.

    Dashes and underscores in options are interchangeable, values follow a blank or an equals sign, `none` stands for no
    value, a list is written with commas, and an option that is true or false means true if it has no value.

    Args:
        verb: Name of the verb, such as "run".
        description: Text of the help page, between usage and options.

    Example:
        >>> line = CommandLine("ui", "Opens MLflow.")
        >>> line.add("--port", "Port of the page.", type=int, default=5000)
        >>> line.read([]).port, line.read(["--port=80"]).port
        (5000, 80)
        >>> line.read(["--prot", "80"])
        Traceback (most recent call last):
        components.errors.UsageError: there is no option --prot; did you mean --port?
    """

    def __init__(self, verb: str, description: str) -> None:
        self._parser = ArgumentParser(
            prog=f"vision-tfx {verb}", description=description, exit_on_error=False, allow_abbrev=False
        )
        self._types: dict[str, Any] = {}
        self._unpaired: set[str] = set()

    def add(self, name: str, help: str, *, to: Any = None, **options: Any) -> None:
        """Adds an option, `--name`, or a positional argument, `name`.

        Args:
            name: Name with dashes.
            help: Meaning of the value, with its unit; the help page adds the default.
            to: Group of `group` or `exclusive_group`; None for the options of the verb as a whole.
            **options: Further arguments of `add_argument`.
        """
        key = name.removeprefix("--").replace("-", "_")
        if name.startswith("--"):
            self._types[key] = options.get("type", str)
            if "nargs" in options or options.get("action") not in (None, "append"):
                self._unpaired.add(key)
        spelling = f"--{key}" if name.startswith("--") else key
        (to or self._parser).add_argument(spelling, help=help, **options)

    def add_fields(self, config: type, *, skip: Collection[str] = ()) -> None:
        """Adds an option for every field of a dataclass, those of nested ones included, with help from the docstrings.

        Args:
            config: The dataclass.
            skip: Fields to leave out.
        """
        self._parser.add_class_arguments(config, as_group=False, skip=set(skip))
        self._types |= {key: found.type for key, found in keys_of(config).items() if key not in skip}
        self._types |= dict.fromkeys(sections(self._types))

    def add_home(self) -> None:
        """Adds `--home`, with the default that all verbs share."""
        self.add("--home", "Folder of everything that runs store.", default=default_home(), metavar="DIR")

    def group(self, title: str) -> Any:
        """Adds a titled group of options to the help page."""
        return self._parser.add_argument_group(title)

    def exclusive_group(self) -> Any:
        """Adds a group of options of which one at most may be given."""
        return self._parser.add_mutually_exclusive_group()

    def read(self, words: Sequence[str], *, defaults: bool = True) -> Namespace:
        """Parses a command line; `--help` among the words prints the help page and exits instead.

        Args:
            words: The words behind the verb.
            defaults: Whether the result holds the options that were not given, with their defaults.

        Raises:
            UsageError: An option is unknown, lacks its value or has a value of another type, or an argument is missing
                or not expected.
        """
        if {"-h", "--help"} & set(words):
            print(self.help_page())
            raise SystemExit(0)
        pairs = list(split(words, self._unpaired))
        for key, _ in pairs:
            if key and key not in self._types:
                meant = map(as_option, nearest(key, self._types))
                raise UsageError(f"there is no option {as_option(key)}{did_you_mean(meant)}")
        tokens = [self._token(key, value) for key, value in pairs]
        try:
            return self._parser.parse_args(tokens, defaults=defaults)
        except ArgumentError as error:
            if wrong := wrong_value(error, self._types):
                raise UsageError(wrong) from None
            self.fail(self._words(error))

    def fail(self, message: str) -> NoReturn:
        """Raises a UsageError that refers to the help page."""
        raise UsageError(f"{message} (see `{self._parser.prog} --help`)")

    def help_page(self) -> str:
        """The help page, with names and values as they are written on the command line."""
        text = re.sub(r"--([\w.]+)", lambda option: as_option(option[1]), self._parser.format_help())
        text = re.sub(r"\s+\(default:\s+null\)|,\s+default:\s+(?=\))", "", text)
        return re.sub(r"\b(null|True|False)\b", lambda word: _WORDS[word[1]], text)

    def _words(self, error: ArgumentError) -> str:
        """An error of argparse, with names as they are written on the command line."""
        if lacking := re.match(r"argument --([\w.]+): expected one argument", str(error)):
            return f"{as_option(lacking[1])} requires a value"
        if missing := re.match(r"the following arguments are required: (.*)", str(error)):
            names = [as_option(name) if name in self._types else name for name in missing[1].split(", ")]
            return f"the following arguments are required: {', '.join(names)}"
        return one_line(error)

    def _token(self, key: str, value: str | None) -> str:
        """An option with its value, as jsonargparse and YAML write them: null for none, [500,500] for 500,500."""
        hint = self._types.get(key)
        if not key:
            return value or ""
        if value is None:
            return f"--{key}=true" if hint is bool else f"--{key}"
        if hint is bool:
            value = _BOOLEANS.get(value.lower(), value)
        elif value.lower() == "none" and "none" in accepted(hint):
            value = "null"
        elif re.fullmatch(r"[\d, ]+", value) and "a list" in accepted(hint):
            value = f"[{value}]"
        return f"--{key}={value}"


def split(words: Sequence[str], unpaired: Collection[str] = ()) -> Iterator[tuple[str, str | None]]:
    """Splits a command line into options and values.

    Args:
        words: The words behind the verb.
        unpaired: Keys of the options that have no value, or several.

    Yields:
        Key and value of each option, the key with underscores, and no value if there is none or the option is
        unpaired; for a positional argument an empty key and the argument.

    Example:
        >>> list(split(["digits-dbn", "--seed=1", "--gates.min-gain", "-1", "--training.use-validation"]))
        [('', 'digits-dbn'), ('seed', '1'), ('gates.min_gain', '-1'), ('training.use_validation', None)]
    """
    waiting = None
    for word in words:
        if not word.startswith("--"):
            yield (waiting or "", word)
            waiting = None
            continue
        if waiting:
            yield (waiting, None)
        key, equals, value = word[2:].partition("=")
        waiting = key.replace("-", "_")
        if equals or waiting in unpaired:
            yield (waiting, value if equals else None)
            waiting = None
    if waiting:
        yield (waiting, None)


def wrong_value(error: ArgumentError, types: Mapping[str, Any]) -> str | None:
    """Returns the sentence for an error of jsonargparse about a value; None for an error about anything else.

    Args:
        error: The error.
        types: Type of each key.
    """
    key = re.search(r'Parser key "([\w.]+)"', str(error))
    value = re.search(r"(?:Got|Given) value: (.*)", str(error))
    if key and value and key[1] in types:
        return f"{key[1]} must be {accepted(types[key[1]])}, not {value[1]!r}"
    return None


def one_line(error: Exception) -> str:
    """Returns the message of an error without line breaks."""
    return " ".join(str(error).split())


def default_home() -> str:
    """The home of a command line without `--home`."""
    return os.environ.get("VISION_TFX_HOME") or RunConfig.home
