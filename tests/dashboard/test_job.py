"""A training, watched in the browser while it runs."""

import pytest
from playwright.sync_api import Browser, expect

from becas.ft.v1 import training_pb2, training_service_pb2_grpc
from helpers.browser import opened
from helpers.dashboard import Dashboard
from helpers.served import SECONDS
from helpers.training import BASE, EXAMPLES, Trained

MINUTES_MS = 400_000


@pytest.mark.timeout(900)
def test_a_training_is_watched_and_cancelled(browser: Browser, living: Dashboard) -> None:
    """Its steps and its loss come by themselves; cancelled in the page, it ends."""
    trained = Trained(living.served.process, living.served.process.data_dir / BASE, first=10 * EXAMPLES, examples=1)
    job_id = trained.start().job_id
    with opened(browser) as page:
        page.goto(f"{living.url}#/jobs")
        page.get_by_role("link", name=job_id).click()
        expect(page.get_by_role("heading", name=job_id)).to_be_visible()
        expect(page.get_by_text("training:")).to_be_visible(timeout=MINUTES_MS)
        expect(page.get_by_label("Training loss over")).to_be_visible(timeout=MINUTES_MS)
        page.get_by_role("button", name="Cancel…").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
        expect(page.get_by_text("cancelled", exact=True)).to_be_visible()
        # The curve stays.
        page.reload()
        expect(page.get_by_label("Training loss over")).to_be_visible()

    assert trained.end(job_id).cancelled
    request = training_pb2.GetLossCurveRequest(job_id=job_id)
    stub = training_service_pb2_grpc.TrainingServiceStub(living.served.channel)
    points = stub.GetLossCurve(request, timeout=SECONDS).points
    assert [point.step for point in points] == list(range(1, len(points) + 1))
    assert all(0 < point.loss < 20 for point in points)
