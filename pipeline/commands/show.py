"""`vision-tfx show PRESET [--KEY VALUE]...`: the resolved configuration as YAML."""

from collections.abc import Sequence

_DESCRIPTION = "Prints the configuration that `vision-tfx run` would use with the same arguments, as YAML."


def main(arguments: Sequence[str]) -> int:
    """Prints the configuration of `run` with the same arguments."""
    from pipeline.options.arguments import parse
    from pipeline.options.config_file import to_yaml

    print(to_yaml(parse(arguments, "show", _DESCRIPTION).config), end="")
    return 0
