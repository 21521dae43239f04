"""The verbs of `vision-tfx`, one module each: `main(arguments) -> exit code`, imported when its verb is called."""
