"""Accounts and roles in the console, with its own look."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm


class PersonAdmin(UserAdmin[User], ModelAdmin):  # type: ignore[misc]  # unfold publishes no types
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "is_active", "last_login")
    filter_horizontal = ()
    actions = None
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        (
            "Access",
            {
                "fields": ("is_active", "is_staff", "groups", "is_superuser"),
                "description": "“Staff” lets somebody open the console at all; roles say what they may do there.",
            },
        ),
    )
    add_fieldsets = ((None, {"fields": ("username", "password1", "password2", "is_staff", "groups")}),)


class RoleAdmin(GroupAdmin, ModelAdmin):  # type: ignore[misc]  # unfold publishes no types
    filter_horizontal = ()
    actions = None


def register(site: admin.AdminSite) -> None:
    site.unregister([User, Group])
    site.register(User, PersonAdmin)
    site.register(Group, RoleAdmin)
