"""ReportGen: a node that lets a project draw what a person would look at."""
