"""The commented configuration that ``runtime init`` writes."""

TEMPLATE = """\
# Configuration of the seamless soil-moisture runtime. Relative paths are relative to this file.
# Every key may also come as --set section.key=value or as SEAMLESS_SM__SECTION__KEY=value.

[archive]
path = "archive"
layout = "cf"                     # cf | sgd-sm
# start = 2012-07-03              # the chain's first day; unset: the oldest day the feed has

[paths]                           # default: hidden folders under archive.path
# state = "/var/lib/seamless-sm/state"
# inbox = "/var/lib/seamless-sm/inbox"

[grid]
# box = [-10.0, 35.0, 5.0, 44.0]  # west, south, east, north in degrees; unset: the globe

[model]
bundle = "seamless-amsr2-x"       # a shipped bundle's name (see `runtime doctor`), or a folder
engine = "auto"                   # auto | cpu | cuda | tensorrt

[[feeds.soil_moisture]]           # one or more; several hand over by from/to
kind = "folder"
path = "incoming/lprm"            # any path fsspec knows: a folder, s3://..., sftp://...
product = "lprm-amsr2"            # lprm-amsr2 | lprm-amsre | lprm-windsat
orbit = "descending"              # descending | ascending
band = "x"                        # c1 | c2 | x; the bundle says which it accepts
# from = 2012-07-03              # days this feed is used for; unset: the sensor's era
# to = 2026-08-31

[feeds.precipitation]             # used by bundles that take rain; seamless-amsr2-x does without, too
kind = "none"                     # folder | none
path = "incoming/imerg"
product = "imerg"
runs = ["late", "early"]          # runs that may be used, best first: early, late, final

[policy]
max_lag_days = 7                  # how far behind is still normal
max_outage_days = 10              # days in a row without soil moisture before filling stops
max_refill_days = 30              # how far back a plain `fill` re-does stale days
consolidated_precipitation = "late"

[service]
run_at = "15:30"                  # daily run of `python -m service`, UTC
"""
