"""Tests of a Django project: tasks have run when the client returns."""

# ruff: noqa: D101, D102, PT009

# --8<-- [start:test]
from django.contrib.auth.models import User
from django.core import mail
from django.test import TestCase


class RegisterTests(TestCase):
    def test_a_welcome(self):
        self.client.get("/register/ada")

        self.assertEqual([each.body for each in mail.outbox], ["Hello ada!"])

    def test_nobody_is_welcomed_twice(self):
        User.objects.create_user("ada")
        self.client.raise_request_exception = False

        self.assertEqual(self.client.get("/register/ada").status_code, 500)
        self.assertEqual(mail.outbox, [])


# --8<-- [end:test]


class OrderTests(TestCase):
    databases = ("default", "billing")

    def test_an_invoice(self):
        self.client.get("/order/socks")

        self.assertEqual([each.body for each in mail.outbox], ["for socks"])
