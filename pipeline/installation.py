"""Commands that install missing packages, for messages. Standard library only."""

INSTALL_ALL = "make install, in a clone of https://github.com/vision-tfx/vision-tfx"


def not_installed(error: ModuleNotFoundError) -> str:
    """Returns one sentence on a package that is missing, with the commands that install it.

    Example:
        >>> not_installed(ModuleNotFoundError(name="mlflow")).partition(";")[0]
        'the Python package mlflow is not installed'
    """
    # Not `pip install 'vision-tfx[pipeline]'`: pip ignores the overrides of uv.lock, so it fails with glibc below 2.39.
    return (
        f"the Python package {error.name} is not installed; `pip install 'vision-tfx[serving]'` installs the packages "
        f"for `serve` and `predict`; all packages: {INSTALL_ALL}"
    )
