"""A project of a few seconds for tests of the scheduler: real nodes, dated data, a node that takes its time."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Variant

PROJECT = Project(
    name="probe",
    title="Probe",
    question="Does the scheduler do what it should?",
    model="A list of the days it has seen",
    data=DataSource(title="Made up", url="", licence="none", size="a few rows"),
    variants=(Variant("plain", "the only one", {"seconds": 0.0, "fail": False, "fail_report": False}),),
    quick=Profile(bars=(Bar("rows", at_least=1),), sample_rows=20),
    full=Profile(bars=(Bar("rows", at_least=1),), sample_rows=20),
    evaluation=Evaluation(task="own", function="pipelines.probe.steps.none"),
    schedule="@daily",
    spans="date",
    start="2026-01-01",
    retries=2,
    node_hours=0.1,
    heavy=("Train",),
)
