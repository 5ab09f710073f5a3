"""Django's settings, all from the environment (environment.py); README.md lists the variables."""

import secrets
from urllib.parse import urlsplit

import django_stubs_ext
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.csp import CSP

from greenhouse.environment import (
    BASE_DIR,
    database,
    mailers,
    pages_url,
    read_environment,
    secret_key,
    socket_path,
)

django_stubs_ext.monkeypatch()

ENVIRONMENT, ENVIRONMENT_PROBLEMS = read_environment()

STATE_DIR = ENVIRONMENT.state_dir
JOURNAL_DIR = ENVIRONMENT.journal_dir or STATE_DIR / "journal"
SNAPSHOT_DIR = ENVIRONMENT.snapshot_dir or STATE_DIR / "snapshot"

# A random key lets `manage.py check` run and say what is missing; nothing signed with it outlives the process.
SECRET_KEY_IS_SET = bool(secret_key(ENVIRONMENT))
SECRET_KEY = secret_key(ENVIRONMENT) or secrets.token_urlsafe(50)
SECRET_KEY_FALLBACKS = [key for key in ENVIRONMENT.secret_key_fallbacks.split(",") if key]
DEBUG = ENVIRONMENT.debug

PUBLIC_URL = (ENVIRONMENT.public_url or f"http://127.0.0.1:{ENVIRONMENT.port}").rstrip("/")
PAGES_URL = pages_url(ENVIRONMENT, PUBLIC_URL)
PAGES_PRIVATE_ADDRESSES = ENVIRONMENT.pages_private_addresses
OVER_TLS = PUBLIC_URL.startswith("https://")
ALLOWED_HOSTS = [host for host in ENVIRONMENT.allowed_hosts.split(",") if host]
if urlsplit(PUBLIC_URL).hostname not in {None, *ALLOWED_HOSTS}:
    ALLOWED_HOSTS.append(str(urlsplit(PUBLIC_URL).hostname))
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "ninja",
    "variants",
    "experiments",
    "greenhouse",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "greenhouse.urls"
WSGI_APPLICATION = "greenhouse.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.csp",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": database(ENVIRONMENT, ENVIRONMENT_PROBLEMS)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

FOUR_EYES = ENVIRONMENT.four_eyes
HOUSE_TIME_ZONE = ENVIRONMENT.time_zone
MAILERS = mailers(ENVIRONMENT, ENVIRONMENT_PROBLEMS)
CAN_MAIL = "OPTIONS" in MAILERS["default"]
DEFAULT_FROM_EMAIL = ENVIRONMENT.email_from
NOTIFY_PRIVATE_ADDRESSES = ENVIRONMENT.notify_private_addresses
NOTIFY_GIVE_UP_DAYS = ENVIRONMENT.notify_give_up_days

EVENT_RETENTION_DAYS = ENVIRONMENT.event_retention_days
LEAD_RETENTION_DAYS = ENVIRONMENT.lead_retention_days

REDIS_URL = ENVIRONMENT.redis_url or f"unix://{socket_path(STATE_DIR)}"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "templates" / "static"]
# WhiteNoise finds files where they lie, so that a fresh clone needs no collectstatic.
WHITENOISE_USE_FINDERS = True

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = OVER_TLS
SECURE_HSTS_SECONDS = 31_536_000 if OVER_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = OVER_TLS
SECURE_REFERRER_POLICY = "same-origin"
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
if ENVIRONMENT.trusted_proxy_count:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
# What Django answers is strict; the admin's theme (Alpine) needs more and gets its own policy in greenhouse/urls.py.
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF, CSP.NONCE],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "frame-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "httpx2": {"level": "WARNING"},
        "openai": {"level": "WARNING"},
        # A line for every tick of the timetable would bury the others: counting alone ticks each second.
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
    },
}


def _entry(title: str, icon: str, model: str) -> dict[str, object]:
    """Return an entry of the console's menu, for those who may see what it leads to."""
    app, name = model.split(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "permission": lambda request: request.user.has_perm(f"{app}.view_{name}"),
    }


UNFOLD = {
    "SITE_TITLE": "Greenhouse",
    "SITE_HEADER": "Greenhouse",
    "SITE_SUBHEADER": "Landing pages that grow",
    "SITE_SYMBOL": "potted_plant",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("reports/leaf.svg")},
    ],
    "SITE_URL": None,  # the address without a path has no page of its own
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_HISTORY": True,
    "LOGIN": {"form": "greenhouse.logins.PatientLoginForm"},
    "DASHBOARD_CALLBACK": "experiments.admin.home",
    "STYLES": [lambda request: static("console/console.css"), lambda request: static("console/run.css")],
    "SCRIPTS": [lambda request: static("console/console.js")],
    "COLORS": {
        "primary": {
            "50": "#f0fdf4", "100": "#dcfce7", "200": "#bbf7d0", "300": "#86efac", "400": "#4ade80", "500": "#16a34a",
            "600": "#15803d", "700": "#166534", "800": "#14532d", "900": "#0f3d22", "950": "#052e16",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        "navigation": [
            {
                "title": "Grow",
                "items": [
                    {"title": "Home", "icon": "home", "link": reverse_lazy("admin:index")},
                    _entry("Experiments", "potted_plant", "experiments.experiment"),
                    _entry("Briefs", "edit_note", "variants.brief"),
                    _entry("Brands", "palette", "variants.brand"),
                    _entry("Leads", "contact_mail", "experiments.lead"),
                ],
            },
            {
                "title": "People",
                "items": [
                    _entry("Users", "person", "auth.user"),
                    _entry("Roles", "group", "auth.group"),
                    {
                        "title": "Notifications",
                        "icon": "notifications",
                        "link": reverse_lazy("admin:experiments_notifications"),
                        "permission": lambda request: request.user.has_perm("experiments.change_destination"),
                    },
                ],
            },
        ],
    },
}  # fmt: skip
