"""What a person does before the dashboard: label, promote, roll back."""

from collections.abc import Callable

from playwright.sync_api import Page, expect


def label(page: Page, count: int, truth: Callable[[str], bool]) -> None:
    """Decide about what waits, with one key each; what the models agree about is skipped.

    Arguments:
        page: any of the dashboard.
        count: of disagreements.
        truth: whether what is shown is a scam.
    """
    page.get_by_role("link", name="Labelling").click()
    for number in range(count):
        expect(page.get_by_label("Message")).to_be_visible()
        while page.get_by_text("The models agree: a random check").count():
            page.keyboard.press("s")
        wanted = "true" if truth(page.get_by_label("Message").inner_text()) else "false"
        texts = page.locator(".choice").all_inner_texts()
        [key] = [text.split()[0] for text in texts if text.split()[1:] == [wanted]]
        page.keyboard.press(key)
        expect(page.get_by_text(f"{number + 1} labelled here.")).to_be_visible()


def promote(page: Page, name: str, why: str, shows: str) -> None:
    """Promote the candidate, once the evidence shows some words."""
    page.get_by_role("link", name="Models").click()
    page.get_by_role("button", name="Promote…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(shows)
    dialog.get_by_label("Your name").fill(name)
    dialog.get_by_label("Why").fill(why)
    dialog.get_by_role("button", name="Promote").click()


def roll_back(page: Page, why: str, shows: str) -> None:
    """Roll back, from the page of the models; the name was given before."""
    page.get_by_role("button", name="Roll back…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(shows)
    dialog.get_by_label("Why").fill(why)
    dialog.get_by_role("button", name="Roll back").click()
