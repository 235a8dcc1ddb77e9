"""Tests, as a package so that files of the same name may stand in different folders."""

from tests import shapes as shapes  # the shape checker is looked up here by name
