"""The verbs of `vision-tfx`, one module each: `main(arguments) -> exit code`, imported when the verb is used."""
