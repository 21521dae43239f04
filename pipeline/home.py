"""The home: one folder, with one layout, for everything that runs store."""

import datetime
from dataclasses import dataclass
from pathlib import Path

# Folders of a home that do not belong to a pipeline, and so cannot be the name of one.
RESERVED_NAMES = ("serving", "checkpoints", "logs", "mlartifacts", "mlruns")


@dataclass(frozen=True)
class Home:
    """The folder of all runs (`--home`, `VISION_TFX_HOME` or ./vision-tfx-home) and the paths in it.

    Args:
        root: The folder; it need not exist yet.

    Example:
        >>> Home(Path("models")).artifacts("digits-dbn").as_posix()
        'models/digits-dbn/artifacts'
    """

    root: Path

    @property
    def metadata(self) -> Path:
        """ML Metadata's SQLite file: every execution and artifact of every pipeline."""
        return self.root / "metadata.sqlite"

    @property
    def checkpoints(self) -> Path:
        """State of unfinished trainings, by a key of configuration, data and source."""
        return self.root / "checkpoints"

    @property
    def mlflow_database(self) -> Path:
        """MLflow's SQLite file."""
        return self.root / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        """MLflow's artifacts."""
        return self.root / "mlartifacts"

    @property
    def serving(self) -> Path:
        """Pushed models, as <model>/<version>/; each <model> is a base path for a model server."""
        return self.root / "serving"

    def artifacts(self, pipeline: str) -> Path:
        """TFX artifacts of one pipeline (its pipeline root)."""
        return self.root / pipeline / "artifacts"

    def logs(self, run_id: str) -> Path:
        """Log file and reports of one run."""
        return self.root / "logs" / run_id


def new_run_id() -> str:
    """Returns the name of a run that starts now, such as 20261123-101801-915."""
    return datetime.datetime.now().strftime("%Y%m%d-%H%M%S-%f")[:-3]
