"""GET /docs: Swagger UI from the service's own files, under a policy that lets nothing else in."""

from playwright.sync_api import expect

from tests.app.page.visits import Visits
from tests.app.support import Server


def test_the_routes_are_shown_and_can_be_tried(visits: Visits, server: Server) -> None:
    page = visits.open(server, "docs")  # which fails where another host is asked or the policy is broken
    expect(page.get_by_role("heading", name="review-lm")).to_be_visible()
    for path in ("/next-word", "/generate", "/score", "/model"):
        expect(page.locator(f'[data-path="{path}"]')).to_be_visible()
    block = page.locator(".opblock", has=page.locator('[data-path="/livez"]'))
    block.locator(".opblock-summary").click()
    block.get_by_role("button", name="Try it out").click()
    block.get_by_role("button", name="Execute").click()
    expect(block.locator(".live-responses-table .response .response-col_status")).to_contain_text("200")
