"""Relais: a person's situation is told once; four services carry it to the right partner."""
