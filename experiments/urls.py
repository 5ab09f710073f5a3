"""Addresses of reports: for people who may see the experiment, and for holders of a share link."""

from django.urls import path

from experiments import views

app_name = "experiments"

urlpatterns = [
    path("experiments/<int:pk>/report/", views.report, name="report"),
    path("experiments/<int:pk>/report.json", views.report_json, name="report_json"),
    path("experiments/<int:pk>/report.csv", views.report_csv, name="report_csv"),
    path("experiments/<int:pk>/leads.csv", views.leads_csv, name="leads_csv"),
    path("r/<str:token>/", views.shared_report, name="shared_report"),
    path("r/<str:token>/report.json", views.shared_report_json, name="shared_report_json"),
]
