"""The average of two runs with two seeds: the same images, one model, its record."""

import dataclasses
import shutil

import pytest

pytestmark = pytest.mark.e2e


def test_two_seeds_are_averaged(place, cli):
    places = [place, dataclasses.replace(place, name="others")]
    for seed, each in enumerate(places):
        assert each.run("--seed", seed).code == 0
    done = cli("average", "colours", "others", "--as", "both", "--home", place.home)
    assert done.code == 0, done.err
    both = dataclasses.replace(place, name="both")
    [version] = both.versions
    assert f"Pushed as version {version}." in done.out
    for each in places:
        shutil.rmtree(place.home / "serving" / each.name)
    assert both.best_label(place.an_image) == place.an_image.parent.name
    both.assert_tidy("FINISHED")

    assert places[1].run("--seed", 1, "--split-seed", 1, "--validation-share", "0.3").code == 0
    done = cli("average", "both", "others", "--as", "all", "--home", place.home)
    assert done.code == 2
    assert "evaluated on different images" in done.sentence
