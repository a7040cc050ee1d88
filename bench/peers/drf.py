"""The stack that a reader would pick instead: Django REST Framework with simplejwt, in one file.

Serves what the benchmark drives: register, and /booking/appointments/ scoped by X-Company-ID with a membership check
on every request. `python drf.py` makes the tables in DB_FILE, `gunicorn drf:application` serves them."""
import os
import sys
import types
import uuid

import django
from django.apps import AppConfig
from django.conf import settings

HERE = os.path.dirname(os.path.abspath(__file__))

settings.configure(
    SECRET_KEY="bench-only-" + "x" * 40,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DEBUG=False,
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    # the same durability as everybody else here: write-ahead log, fsync at every commit
    DATABASES={"default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["DB_FILE"],
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;",
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
        },
    }},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "bench"],
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
        "PAGE_SIZE": 20,
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
    MIGRATION_MODULES={"bench": None},
)

# Django wants an app to be a package; this file stands in for one.
package = sys.modules.setdefault("bench", types.ModuleType("bench"))
package.__path__, package.__file__ = [HERE], __file__


class BenchConfig(AppConfig):
    name = "bench"
    path = HERE


package.BenchConfig = BenchConfig
django.setup()

from django.contrib.auth.models import User  # noqa: E402 (models need django.setup)
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models, transaction  # noqa: E402
from django.urls import include, path  # noqa: E402
from rest_framework import exceptions, permissions, routers, serializers, viewsets  # noqa: E402
from rest_framework.decorators import api_view, permission_classes  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework_simplejwt.tokens import RefreshToken  # noqa: E402


class Company(models.Model):
    code = models.CharField(max_length=16, unique=True)
    name = models.CharField(max_length=200)

    class Meta:
        app_label = "bench"


class Membership(models.Model):
    user = models.ForeignKey(User, on_delete=models.CASCADE)
    company = models.ForeignKey(Company, on_delete=models.CASCADE)
    role = models.CharField(max_length=32, default="owner")
    is_active = models.BooleanField(default=True)

    class Meta:
        app_label = "bench"
        unique_together = [("user", "company")]


class Appointment(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    company = models.ForeignKey(Company, on_delete=models.CASCADE)
    title = models.CharField(max_length=255)
    description = models.TextField(blank=True, default="")
    status = models.CharField(max_length=32, default="pending")
    data = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        app_label = "bench"
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["company", "-created_at"])]


class AppointmentSerializer(serializers.ModelSerializer):
    company = serializers.SlugRelatedField(slug_field="code", read_only=True)

    class Meta:
        model = Appointment
        fields = ["id", "company", "title", "description", "status", "data", "created_at", "updated_at"]


class AppointmentViewSet(viewsets.ModelViewSet):
    serializer_class = AppointmentSerializer

    def company(self):
        memberships = Membership.objects.select_related("company")
        code = self.request.headers.get("X-Company-ID")
        membership = memberships.filter(user=self.request.user, company__code=code, is_active=True).first()
        if not membership:
            raise exceptions.PermissionDenied("no active membership")
        return membership.company

    def get_queryset(self):
        return Appointment.objects.select_related("company").filter(company=self.company())

    def perform_create(self, serializer):
        serializer.save(company=self.company())


@api_view(["POST"])
@permission_classes([permissions.AllowAny])
def register(request):
    wanted = request.data
    with transaction.atomic():
        user = User.objects.create_user(wanted["username"], wanted["email"], wanted["password"])
        company = Company.objects.create(code=f"{Company.objects.count() + 1:03d}", name=wanted["company_name"])
        Membership.objects.create(user=user, company=company)
    token = RefreshToken.for_user(user)
    return Response({"access": str(token.access_token), "company": {"code": company.code}}, status=201)


@api_view(["GET"])
@permission_classes([permissions.AllowAny])
def health(request):
    return Response({"status": "ok"})


router = routers.DefaultRouter()
router.register("booking/appointments", AppointmentViewSet, basename="appointments")
urlpatterns = [
    path("health/", health),
    path("api/v1/auth/register/", register),
    path("api/v1/", include(router.urls)),
]
application = get_wsgi_application()

if __name__ == "__main__":
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        for model in (Company, Membership, Appointment):
            editor.create_model(model)
