"""The parts of the lecture, in the order of the page."""

from training.lecture.part import Part

PARTS: tuple[Part, ...] = ()
