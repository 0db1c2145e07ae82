"""One-time links and sessions."""

from wps_run.emulator.dashboard.sessions import SessionStore


def test_a_link_opens_once() -> None:
    """Its secret is exchanged for another one, which then is known."""
    door = SessionStore()
    link = door.link()

    session = door.enter(link)

    assert session is not None
    assert session != link
    assert door.enter(link) is None
    assert door.knows(session)
    assert not door.knows(link)


def test_what_is_no_link_opens_nothing() -> None:
    """Neither nothing, nor a session, nor half a character."""
    door = SessionStore()
    session = door.enter(door.link())
    assert session is not None

    assert [door.enter(shown) for shown in ("", "x", session, "\udcff")] == [None] * 4
    assert not door.knows("")


def test_there_is_no_door_before_the_first_link() -> None:
    """A service whose owner asks for no page has none."""
    door = SessionStore()
    assert not door.is_open
    door.link()
    assert door.is_open


def test_the_oldest_link_and_session_make_room() -> None:
    """Sixteen links wait at most, and 64 sessions are known."""
    door = SessionStore()
    links = [door.link() for _ in range(17)]
    assert door.enter(links[0]) is None
    assert door.enter(links[1]) is not None

    sessions = [door.enter(door.link()) or "" for _ in range(65)]
    assert not door.knows(sessions[0])
    assert all(map(door.knows, sessions[1:]))
