"""Labels in a crowded panel."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cqbook.cells import labels
from cqbook.cells.labels import Label


@pytest.fixture
def ax():
    fig, ax = plt.subplots()
    ax.set(xlim=(0.1, 100), ylim=(0.1, 100), xscale="log", yscale="log")
    fig.canvas.draw()
    yield ax
    plt.close(fig)


def boxes(ax):
    ax.figure.canvas.draw()
    return [text.get_window_extent() for text in ax.texts]


def test_every_point_has_its_label(ax):
    points = [Label(1, 1, "A", "black"), Label(10, 10, "B", "red")]
    labels.place(ax, points, floor=0.2)
    assert [text.get_text() for text in ax.texts] == ["A", "B"]
    assert [text.get_color() for text in ax.texts] == ["black", "red"]
    assert not ax.lines  # the label of a single point is next to it


def test_labels_of_one_place_do_not_cover_each_other(ax):
    labels.place(ax, [Label(3, 3, f"L{k}", "black") for k in range(8)], floor=0.2)
    found = boxes(ax)
    for k, box in enumerate(found):
        assert not any(box.overlaps(other) for other in found[:k])
    assert ax.lines  # labels far from their point get a line
    for line in ax.lines:
        assert line.get_xydata()[0].tolist() == [3, 3]


def test_labels_stay_inside_and_off_the_point(ax):
    corners = [Label(x, y, "corner", "black") for x in (0.12, 90) for y in (0.12, 90)]
    labels.place(ax, corners, floor=0.1)
    frame = ax.get_window_extent()
    for box, label in zip(boxes(ax), corners, strict=True):
        assert frame.x0 <= box.x0 and box.x1 <= frame.x1
        assert frame.y0 <= box.y0 and box.y1 <= frame.y1
        assert not box.contains(*ax.transData.transform((label.x, label.y)))


def test_a_bar_is_kept_free(ax):
    labels.place(ax, [Label(3, 1, "wide label", "black", bar_to=60)], floor=0.2)
    (box,) = boxes(ax)
    bar = ax.transData.transform([(3, y) for y in np.geomspace(1, 60, 50)])
    assert not any(box.contains(*point) for point in bar)
