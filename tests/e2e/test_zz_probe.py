from tests.e2e.test_replay import *
def test_probe(session, dsn, tmp_path):
    lines = independent.read(session)
    created = independent.creators(lines)
    expected = independent.trades(lines)
    with Service(tmp_path, FEED=f"replay:{session}", DB_DSN=dsn, STORE_TRADES=True, LOG_LEVEL="DEBUG", **FROM_CREATE, **NO_FILTER) as s:
        s.wait(30)
    got={t.identity for t in stored_trades(dsn)}
    miss=[(i,t.identity) for i,t in enumerate(expected) if t.identity not in got]
    print("missing", len(miss), "of", len(expected), miss[:8], streams(dsn)["tz2wFx9RVTZpEoMd6uw2ytuekLa4K9mY8PSGxPALpump"] if "tz2wFx9RVTZpEoMd6uw2ytuekLa4K9mY8PSGxPALpump" in streams(dsn) else None)
    print(s.log[:3000]); print("\n".join(l for l in s.log.splitlines() if "tracking" not in l)[-5000:])
    print("\n".join(l for l in s.log.splitlines() if "tz2wFx9" in l))
    print(len([l for l in s.log.splitlines() if " tracking " in l]))
