"""Pushed models: their versions, their answers, their results and their average."""
