"""The judge is judged: anomalies are seeded into clean runs, and each must be found, and nothing else."""
