"""`vision-tfx show PRESET [overrides]`: the resolved configuration as YAML."""

from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Prints what `run` with the same arguments would use."""
    from pipeline.options.arguments import help_text, parse, to_yaml

    if {"-h", "--help"} & set(arguments):
        description = "Prints the configuration of `run` with the same arguments, as YAML."
        print(help_text("vision-tfx show", description, arguments))
        return 0
    print(to_yaml(parse(arguments).config), end="")
    return 0
