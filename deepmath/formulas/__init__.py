"""The mathematics: plain functions of a namespace and values, each formula once, value and slope side by side."""
