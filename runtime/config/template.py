"""The commented configuration that ``runtime init`` writes."""

TEMPLATE = """\
# Configuration of the seamless soil-moisture runtime. Relative paths are relative to this file.
# Every key may also come as --set section.key=value or as SEAMLESS_SM__SECTION__KEY=value.

[archive]
path = "archive"
layout = "cf"                     # cf | sgd-sm; a change, also of [grid], needs `runtime reprocess --all`
# start = 2012-07-03              # the chain's first day; unset: the oldest day the feed has
keep_superseded = false           # keep files that are replaced, below .superseded
cube = true                       # keep the days a second time, chunked for time series, in cube.zarr
# mirror = "s3://bucket/prefix"   # each run uploads what has changed; any address fsspec knows; docs/mirror.md

[paths]                           # default: hidden folders under archive.path
# state = "/var/lib/seamless-sm/state"
# inbox = "/var/lib/seamless-sm/inbox"
# engines = "/var/lib/seamless-sm/engines"   # built TensorRT engines

[grid]
kind = "regular"                  # regular: 0.25 degree | ease2: EASE-Grid 2.0, cells of equal area
# cell_km = 36                    # of ease2: 36 | 25 | 9
# box = [-10.0, 35.0, 5.0, 44.0]  # west, south, east, north in degrees; unset: the globe

[model]
bundle = "seamless-2"             # a shipped bundle's name (see `runtime doctor`), or a folder
engine = "auto"                   # auto | cpu | openvino | cuda | tensorrt; `runtime doctor` says which are there
precision = "fp32"                # fp32 | bf16 | fp16 | int8; the model card says what a bundle is offered in
rebuild = true                    # build a TensorRT engine again that does not fit any more, or refuse it
# whole_grid = true               # a day in one call, not in tiles; unset: with cuda, if the GPU's memory is enough

[[feeds.soil_moisture]]           # one or more; several hand over by from/to
kind = "folder"                   # folder | earthdata | cds (docs/operating.md: an account)
path = "incoming/lprm"            # any path fsspec knows: a folder, s3://..., sftp://...; sub-folders may be years
product = "lprm-amsr2"            # `runtime products` lists them; your own are [products.NAME]
orbit = "descending"              # descending | ascending
band = "x"                        # c1 | c2 | x, of products with several; a bundle's card says which it was judged on
# pattern = 'my_(?P<date>\\d{8})\\.nc'   # file names, if they are not the product's own
# from = 2012-07-03              # days this feed is used for; unset: the sensor's era
# to = 2026-08-31                # the feed ends here; unset: a newer file is waited for
# bundle = "mine"                # fills the days of this feed; unset: model.bundle
# version = "v202505"             # of the Earthdata collection or the CDS data, if not the newest known

[merge]                           # several sensors; docs/several-sensors.md
mode = "handover"                 # handover: one a day, by from/to and order | together: all, by their errors
# reference = "lprm-amsr2"        # the sensor that others are mapped to; unset: that of the first feed
fit_days = 60                     # a transfer is fitted on so many days that both sensors have
refit_days = 30                   # and used for so many
settle_days = 10                  # without the last days before: files of these may still be late

[handover]
match = false                     # true: map each sensor to the reference, so that the values do not step
days = 30                         # the step is measured over so many days before and after

[feeds.precipitation]             # used by bundles that take rain; seamless-2 does without, too
kind = "none"                     # folder | earthdata | none
path = "incoming/imerg"
product = "imerg"
runs = ["late", "early"]          # runs that may be used, best first; final enters by `runtime reprocess`
# version = "06"                  # of the Earthdata collections, if not the newest known

[earthdata]                       # log-in: EARTHDATA_TOKEN, or ~/.netrc; never in this file
cmr_url = "https://cmr.earthdata.nasa.gov/search/"
edl_host = "urs.earthdata.nasa.gov"
timeout_s = 60.0                  # how long a server may keep silent
attempts = 6                      # how often a request is tried
wait_s = 2.0                      # the first wait in between; it doubles, with jitter
parallel = 4                      # downloads at a time
# token_hosts = ["data.gesdisc.earthdata.nasa.gov"]   # hosts that get the log-in, https only; unset: GES DISC, NSIDC

[cds]                             # key: CDSAPI_KEY, or ~/.cdsapirc; never in this file
url = "https://cds.climate.copernicus.eu/api"   # the only server that gets the key
dataset = "satellite-soil-moisture"
timeout_s = 60.0                  # how long the server may keep silent
attempts = 4                      # how often a question is tried
wait_s = 5.0                      # the first wait in between; it doubles, with jitter
poll_s = 30.0                     # longest wait before a queued request is looked at again
# request = { time_aggregation = "daily" }   # keywords that the service renamed; "" leaves one out

[metadata]                        # who publishes; written into files, cube and STAC items
title = "Seamless daily surface soil moisture"
id = "seamless-sm"
licence = "CC-BY-4.0"
# institution = "..."
# creator_name = "..."
# creator_email = "..."
# creator_url = "https://..."
# naming_authority = "org.example"
# acknowledgement = "..."

[policy]                          # docs/operating.md: missing and late inputs; a refused day
max_lag_days = 7                  # how far behind is still normal
max_outage_days = 10              # days in a row without soil moisture that are filled from other days
max_refill_days = 30              # how far back a plain `fill` fills stale days again
consolidated_precipitation = "late"
min_coverage = 0.25               # a file with less than this share of the usual coverage is refused
max_out_of_range = 0.2            # share of filled cells the network may put outside 0..1 m3 m-3
# max_mean_jump = 0.1             # m3 m-3; unset: 0.1 for the globe, 0.3 for a region
# max_seam_step = 0.15            # m3 m-3 across tile edges; unset: 0.15 for the globe, 0.4 for a region
inbox_gib = 20.0                  # fetched files kept beyond those a plain `fill` may read again
max_file_minutes = 20.0           # a file or listing of a remote feed that takes longer is given up
max_run_minutes = 720.0           # then a run ends, what it published stays, and the next goes on
max_mirror_minutes = 60.0         # then the upload to archive.mirror ends, and the next run goes on

[service]
run_at = "15:30"                  # daily run of `python -m service`, UTC; polling begins
poll_until = "23:30"              # and ends, or when the newest day is complete
poll_minutes = 30.0
host = "127.0.0.1"                # 0.0.0.0 to be reached from elsewhere
port = 8000
# hosts = ["sm.example.org"]      # more names that the server may be addressed by; see docs/operating.md: access
# webhook = "https://..."         # alerts as JSON; the token of POST /api/runs: SEAMLESS_SM__SERVICE__TOKEN
"""
