"""Who is who: crossings, gaps, exchanges of left and right, posters."""

from __future__ import annotations

import numpy as np
import pytest
from blobs import COCO, FIGURE
from polypose.capture.detectors.detector import box_around
from polypose.capture.looks import colours
from polypose.capture.tracks import Moment, link, still

RATE = 30


def moments(places, *, dress=None, noise=1.0, seed=0, shuffle=True):
    """What a detector sees of people at (F, P, 2) pixels, NaN where it does not, in no order of persons.

    Also who each detection is of.
    """
    rng = np.random.default_rng(seed)
    out, who = [], []
    for number, people in enumerate(places):
        there = np.flatnonzero(np.isfinite(people).all(-1))
        if shuffle:
            rng.shuffle(there)
        points = FIGURE + people[there, None] + rng.normal(0, noise, (len(there), 17, 2))
        keypoints = np.concatenate([points, np.full((len(there), 17, 1), 0.9)], -1)
        looks = np.full((len(there), 3, 3), np.nan)
        if dress is not None:
            looks = np.asarray(dress)[there][:, None, None] + rng.normal(0, 0.02, (len(there), 3, 3))
        out.append(Moment(number / RATE, keypoints, box_around(keypoints), looks))
        who.append(there)
    return out, who


def owners(tracks, places):
    """Of each track, whom it follows in each frame where it was seen."""
    found = []
    for track in tracks:
        middle = track.keypoints[:, :, :2].mean(1) - FIGURE.mean(0)
        seen = np.isfinite(track.boxes[:, 0])
        apart = np.linalg.norm(places[track.first : track.first + len(track)] - middle[:, None], axis=-1)
        found.append(np.nanargmin(apart[seen], axis=1))
    return found


def lanes(frames, starts, steps):
    """People who walk along x, each a little lower in the picture than the one before."""
    at = np.array(starts)[None] + np.arange(frames)[:, None] * np.array(steps)[None]
    return np.stack([at, np.broadcast_to(200 + 12 * np.arange(len(starts)), at.shape)], -1).astype(float)


def test_people_who_cross_keep_their_ids():
    places = lanes(90, [100.0, 460.0, 250.0], [4.0, -4.0, 0.5])
    tracks = link(moments(places)[0], "coco17")
    assert [track.id for track in tracks] == [1, 2, 3]
    assert [len(track) for track in tracks] == [90, 90, 90]
    for whom in owners(tracks, places):
        assert len(set(whom.tolist())) == 1


def test_who_is_hidden_at_the_crossing_comes_back_as_who_they_were():
    places = lanes(90, [100.0, 460.0], [4.0, -4.0])
    near = np.abs(places[:, 0, 0] - places[:, 1, 0]) < 40
    seen = places.copy()
    seen[near, 1] = np.nan
    tracks = link(moments(seen, dress=[0.2, 0.6])[0], "coco17")
    assert [len(track) for track in tracks] == [90, 90]
    assert [len(set(whom.tolist())) for whom in owners(tracks, seen)] == [1, 1]
    unseen = np.isnan(tracks[1].boxes[:, 0]) | np.isnan(tracks[0].boxes[:, 0])
    np.testing.assert_array_equal(unseen, near)
    hidden = tracks[0] if np.isnan(tracks[0].boxes[:, 0]).any() else tracks[1]
    assert (hidden.keypoints[near] == 0).all()


@pytest.mark.parametrize(("gap", "people"), [(0.9, 1), (1.3, 2)])
def test_gaps_are_bridged_for_a_second(gap, people):
    places = lanes(120, [100.0], [0.5])
    places[30 : 30 + round(gap * RATE)] = np.nan
    assert len(link(moments(places)[0], "coco17")) == people


def test_somebody_else_in_the_same_place_is_somebody_else():
    places = lanes(60, [100.0, 104.0], [0.0, 0.0])
    places[25:, 0] = np.nan
    places[:40, 1] = np.nan
    assert len(link(moments(places, dress=[0.1, 0.8])[0], "coco17")) == 2
    assert len(link(moments(places, dress=[0.1, 0.1])[0], "coco17")) == 1


def test_a_detection_that_slips_onto_who_stands_before_is_given_back():
    """The one behind is lost; its crop slips onto the other, whose own detection ends as a duplicate."""
    places = lanes(60, [100.0, 150.0], [0.0, 0.0])
    seen, _ = moments(places, dress=[0.2, 0.6], shuffle=False)
    for frame in range(25, 60):
        share = min((frame - 25) / 5, 1.0)
        slipped = seen[frame].keypoints[:1] * (1 - share) + seen[frame].keypoints[1:] * share
        dress = seen[frame].colours[1:] if share > 0.5 else seen[frame].colours[:1]
        seen[frame] = Moment(seen[frame].time, slipped, box_around(slipped), dress)
    front, back = sorted(link(seen, "coco17"), key=len)[::-1]
    assert len(front) == 60
    assert 26 <= len(back) <= 32
    assert np.isfinite(front.boxes[32:, 0]).all()
    np.testing.assert_allclose(front.keypoints[40, :, 0].mean(), 150, atol=2)


def test_left_taken_for_right_is_still_the_same():
    seen, _ = moments(lanes(40, [100.0, 300.0], [2.0, 2.0]), shuffle=False)
    for frame in (10, 11, 25):
        seen[frame].keypoints[0] = seen[frame].keypoints[0][list(COCO.mirror)]
    assert [len(track) for track in link(seen, "coco17")] == [40, 40]


def test_tracks_of_a_few_frames_are_dropped_but_not_in_a_photo():
    places = lanes(60, [100.0, 500.0], [1.0, 1.0])
    places[:30, 1] = np.nan
    places[34:, 1] = np.nan
    assert len(link(moments(places)[0], "coco17")) == 1
    assert len(link(moments(places[31:32])[0], "coco17")) == 2
    assert link(moments(np.full((10, 1, 2), np.nan))[0], "coco17") == ()
    assert link([], "coco17") == ()


def test_what_comes_and_goes_is_nobody():
    places = lanes(120, [100.0, 500.0], [1.0, 0.0])
    flickers = places.copy()
    flickers[np.arange(120) % 4 > 0, 1] = np.nan
    assert [track.id for track in link(moments(flickers)[0], "coco17")] == [1]
    places[40:65, 1] = np.nan
    assert len(link(moments(places)[0], "coco17")) == 2


def test_a_poster_is_told_where_others_move():
    places = lanes(150, [100.0, 600.0], [2.0, 0.0])
    times = np.arange(150) / RATE
    tracks = link(moments(places, noise=0.3)[0], "coco17")
    (told,) = still(times, tracks)
    (mine,) = [whom for track, whom in zip(tracks, owners(tracks, places), strict=True) if track.id == told]
    assert set(mine.tolist()) == {1}
    sways = places.copy()
    sways[:, 1, 0] += 4 * np.sin(np.arange(150) / 20)
    assert list(still(times, link(moments(sways, noise=0.3)[0], "coco17"))) == []
    assert list(still(times, link(moments(places[:, 1:], noise=0.3)[0], "coco17"))) == []


def test_a_poster_alone_is_told_after_some_seconds_and_who_stands_is_not():
    places, times = lanes(200, [600.0], [0.0]), np.arange(200) / RATE
    assert list(still(times, link(moments(places, noise=0.3)[0], "coco17"))) == [1]
    places[:, 0, 0] += 3 * np.sin(np.arange(200) / 30)
    assert list(still(times, link(moments(places, noise=0.3)[0], "coco17"))) == []


@pytest.mark.parametrize(("away", "dress", "people"), [(2.5, 0.3, 1), (2.5, 0.5, 2), (6.0, 0.3, 2)])
def test_who_is_away_for_some_seconds_comes_back_by_the_clothes(away, dress, people):
    """Whoever wears something else is somebody else; so is who comes after too long."""
    frames = 60 + round(away * RATE)
    places = lanes(frames, [100.0, 120.0], [0.3, 0.3])
    places[30:, 0] = np.nan
    places[:-30, 1] = np.nan
    tracks = link(moments(places, dress=[0.3, dress])[0], "coco17")
    assert len(tracks) == people
    assert len(tracks[0]) == (frames if people == 1 else 30)
    if people == 1:
        assert np.isnan(tracks[0].boxes[30:-30]).all()
        assert (tracks[0].keypoints[30:-30] == 0).all()


def test_of_two_alike_nobody_guesses_who_came_back():
    places = lanes(150, [100.0, 300.0, 200.0], [0.0, 0.0, 0.0])
    places[40:, :2] = np.nan
    places[:100, 2] = np.nan
    assert len(link(moments(places, dress=[0.3, 0.3, 0.3])[0], "coco17")) == 3
    assert len(link(moments(places, dress=[0.3, 0.6, 0.3])[0], "coco17")) == 2


def test_colours_of_chest_and_thighs():
    image = np.zeros((300, 200, 3), np.uint8)
    image[:188], image[188:] = (255, 0, 0), (0, 0, 255)
    keypoints = np.concatenate([FIGURE + np.array([100, 200]), np.ones((17, 1))], -1)[None]
    found = colours(image, keypoints, "coco17")
    np.testing.assert_allclose(found[0, 0], [1, 0, 0])
    np.testing.assert_allclose(found[0, 1:], [[0, 0, 1]] * 2)
    keypoints[0, COCO.index("left_knee"), 2] = 0
    assert np.isnan(colours(image, keypoints, "coco17")[0, 1]).all()
    assert np.isnan(colours(image, keypoints + np.array([1000, 0, 0]), "coco17")).all()
    assert colours(image, keypoints[:0], "coco17").shape == (0, 3, 3)
