"""Addresses of reports: for people who may see the experiment, and for holders of a share link."""

from django.urls import path

from experiments import views

app_name = "experiments"

urlpatterns = [
    path("experiments/<int:pk>/report/", views.report, name="report"),
    path("experiments/<int:pk>/report.json", views.report_json, name="report_json"),
    path("experiments/<int:pk>/report.csv", views.report_csv, name="report_csv"),
    path("experiments/<int:pk>/report.xlsx", views.report_xlsx, name="report_xlsx"),
    path("experiments/<int:pk>/leads.csv", views.leads_csv, name="leads_csv"),
    path("experiments/<int:pk>/links/", views.links, name="links"),
    path("experiments/<int:pk>/links/<int:link>/revoke/", views.revoke_link, name="revoke_link"),
    path("r/<str:token>/", views.shared_report, name="shared_report"),
    path("r/<str:token>/report.json", views.shared_report_json, name="shared_report_json"),
    path("r/<str:token>/report.csv", views.shared_report_csv, name="shared_report_csv"),
    path("r/<str:token>/report.xlsx", views.shared_report_xlsx, name="shared_report_xlsx"),
    path("r/<str:token>/pages/<str:arm>/<str:name>", views.shared_picture, name="shared_picture"),
    path("card/<str:token>/", views.card, name="report_card"),
]
