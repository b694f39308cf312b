"""What any server of the model needs: cost and duration estimates, workers, transfer between processes, deliverables."""

from __future__ import annotations
