"""The one table of the tests' project."""

from __future__ import annotations

from django.db import models


class Note(models.Model):
    """A line of text."""

    text = models.CharField(max_length=100)

    class Meta:
        app_label = "site"

    def __str__(self):
        return self.text
