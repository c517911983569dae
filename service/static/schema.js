// Types and constants of what the service answers, made from its OpenAPI schema by `python -m service.schema`.
// Do not edit: change service/models.py and run that command again.

/**
 * The archive: its days, its grid, its layers and their colours.
 * @typedef {Object} ArchiveInfo
 * @property {string} title
 * @property {string} licence
 * @property {Citation[]} citations
 * @property {DaySpan | null} days Null while no day is published.
 * @property {MapGrid | null} grid Null while no day is published.
 * @property {LayerName[]} layers The layers that the archive has.
 * @property {ColourScale[]} scales
 * @property {FlagColour[]} flags
 * @property {number[]} filled_flags The flags of filled values.
 * @property {FlagColour[]} qualities
 * @property {number} steps Number of colours of a scale: bytes of a map below it are steps of the scale.
 * @property {ByteColour} gap Land without a value.
 * @property {ByteColour} nothing No land, or nothing known.
 * @property {SeriesColours} series
 */

/**
 * The mean over an area on each published day.
 * @typedef {Object} AreaSeries
 * @property {number} latitude Of the area's centroid, degrees north.
 * @property {number} longitude Of the area's centroid, degrees east.
 * @property {number} km2 The area's land in the archive, km2.
 * @property {string[]} dates
 * @property {Record<string, (number | null)[]>} values By variable, one value per day; null where there is none:
 *   ``soil_moisture`` and its uncertainty, ``precipitation``, and ``observed_share`` and ``filled_share`` of the land,
 *   0 to 1.
 * @property {Record<string, string>} left_out Published days that are left out because they are on another grid, with
 *   the reason.
 */

/**
 * A byte of a map with a meaning of its own.
 * @typedef {Object} ByteColour
 * @property {number} value
 * @property {string} colour
 */

/**
 * The state of every day from the first to today, or to the last known one if the feeds have ended before.
 * @typedef {Object} Calendar
 * @property {string | null} first The day of the first letter; null if no day is known.
 * @property {string} states A letter per day: ``c`` consolidated, ``p`` provisional, ``n`` no observation, filled from
 *   other days, ``r`` refused, ``k`` refused, earlier version kept, ``m`` missing.
 * @property {Record<string, string>} reasons The reason of each day that is not simply consolidated.
 * @property {SensorPeriod[]} sensors Which sensors each published day has, in order; empty in an archive of one sensor.
 */

export const CALENDAR_LEGEND = Object.freeze([
  {"has_map": true, "meaning": "consolidated", "name": "consolidated", "state": "c"},
  {"has_map": true, "meaning": "provisional", "name": "provisional", "state": "p"},
  {"has_map": true, "meaning": "no observation, filled from other days", "name": "no_observation", "state": "n"},
  {"has_map": false, "meaning": "refused", "name": "refused", "state": "r"},
  {"has_map": true, "meaning": "refused, earlier version kept", "name": "kept", "state": "k"},
  {"has_map": false, "meaning": "missing", "name": "missing", "state": "m"},
]);

export const CalendarState = Object.freeze({
  CONSOLIDATED: "c",
  KEPT: "k",
  MISSING: "m",
  NO_OBSERVATION: "n",
  PROVISIONAL: "p",
  REFUSED: "r",
});

/**
 * A paper to cite.
 * @typedef {Object} Citation
 * @property {string} doi
 * @property {string} text
 */

/**
 * How the values of a layer become colours.
 * @typedef {Object} ColourScale
 * @property {LayerName} name
 * @property {string} title
 * @property {number} low Value of the first colour.
 * @property {number} high Value of the last colour; higher values have it too.
 * @property {string} unit
 * @property {string[]} colours ``#rrggbb``, from `low` to `high`.
 */

/**
 * What an operator decided about a day.
 * @typedef {Object} DayDecision
 * @property {Verdict} verdict
 * @property {string} because The operator's reason.
 * @property {string} subject Digest of the field that the decision is about.
 */

/**
 * A day, what it was made from, and every time it was made.
 * @typedef {Object} DayDetail
 * @property {string} date
 * @property {Tier | ProblemKind} state The tier of a published day, otherwise the kind of its problem.
 * @property {Tier | null} tier
 * @property {number | null} revision How many times the day was made.
 * @property {string | null} path The day's file, relative to the archive's folder.
 * @property {DayProblem | null} problem
 * @property {DayFigures | null} figures
 * @property {string[]} sensors The sensors that saw the day (product-orbit-band); empty without an observation.
 * @property {Record<string, InputFile | null> | null} inputs By role (``T``, ``T-4``, ``precipitation T+1``); null for
 *   an input that was absent.
 * @property {string | null} model The bundle's name and version.
 * @property {string | null} fingerprint
 * @property {DayDecision | null} decision
 * @property {string | null} sha256 Digest of the published file.
 * @property {DayRevision[]} revisions The oldest first.
 */

/**
 * A published day in numbers.
 * @typedef {Object} DayFigures
 * @property {number} observed Land cells with an observation.
 * @property {number} filled Land cells that were filled.
 * @property {number} not_reached Land cells without a value.
 * @property {number | null} land_mean Mean soil moisture of the land cells that have a value, m3 m-3.
 * @property {number | null} seam Mean step between neighbouring cells across tile edges divided by that inside tiles.
 * @property {number | null} seam_step Mean step across tile edges minus that inside tiles, m3 m-3.
 */

/**
 * What is wrong with a day.
 * @typedef {Object} DayProblem
 * @property {ProblemKind} kind
 * @property {string} reason
 * @property {string} since Time, ISO 8601, UTC.
 */

/**
 * One time a day was made.
 * @typedef {Object} DayRevision
 * @property {string} date
 * @property {number} revision
 * @property {string} made_at Time, ISO 8601, UTC.
 * @property {string} reason
 * @property {Tier} tier
 * @property {string} engine
 * @property {number} seconds
 * @property {string | null} fingerprint_before Fingerprint of the revision before this one.
 * @property {string} fingerprint
 * @property {string} sha256 Digest of the published file.
 * @property {Record<string, number>} phases Seconds by phase of the day.
 * @property {Record<string, string>} inputs sha256 of each input file, by role.
 */

/**
 * The published days.
 * @typedef {Object} DaySpan
 * @property {string} first
 * @property {string} newest
 * @property {number} count
 */

/**
 * A day that is published or has a problem.
 * @typedef {Object} DaySummary
 * @property {string} date
 * @property {Tier | ProblemKind} state The tier of a published day, otherwise the kind of its problem.
 * @property {Tier | null} tier
 * @property {number | null} revision How many times the day was made.
 * @property {string | null} path The day's file, relative to the archive's folder.
 * @property {DayProblem | null} problem
 * @property {DayFigures | null} figures
 * @property {string[]} sensors The sensors that saw the day (product-orbit-band); empty without an observation.
 */

/**
 * A value of the layer ``flag`` or ``quality_flag``.
 * @typedef {Object} FlagColour
 * @property {number} value
 * @property {string} meaning
 * @property {string} colour
 */

/**
 * The process lives and its scheduler runs.
 * @typedef {Object} Health
 * @property {string} status Always ``ok``; a failure is answered with status 503.
 */

/**
 * The three runs of IMERG for one day, the first and least accurate first.
 * @typedef {"early" | "late" | "final"} ImergRun
 */

export const ImergRun = Object.freeze({
  EARLY: "early",
  LATE: "late",
  FINAL: "final",
});

/**
 * Something that is wrong now and was reported.
 * @typedef {Object} Incident
 * @property {string} kind ``lag``, ``clock``, ``run failed``, ``run stuck``, ``catalog``, ``sensor NAME``, ``refused
 *   DATE`` or ``result refused DATE``.
 * @property {string} message
 * @property {string} since Time, ISO 8601, UTC.
 */

export const LAG_INCIDENT = "lag";

/**
 * A file that a day was made from.
 * @typedef {Object} InputFile
 * @property {string} name
 * @property {string} field Digest of the decoded field.
 * @property {ImergRun | null} run The IMERG run; null for soil moisture.
 * @property {Record<string, string>} files Name of the file of each sensor that the field was made of; empty for a file
 *   that was used as it is.
 */

/**
 * The layers of the map: the variables of a published day, and how it compares with the climatology.
 * @typedef {"soil_moisture" | "soil_moisture_anomaly" | "soil_moisture_observed" | "soil_moisture_uncertainty" | "days_since_observation" | "precipitation" | "flag" | "quality_flag"} LayerName
 */

export const LayerName = Object.freeze({
  SOIL_MOISTURE: "soil_moisture",
  SOIL_MOISTURE_ANOMALY: "soil_moisture_anomaly",
  SOIL_MOISTURE_OBSERVED: "soil_moisture_observed",
  SOIL_MOISTURE_UNCERTAINTY: "soil_moisture_uncertainty",
  DAYS_SINCE_OBSERVATION: "days_since_observation",
  PRECIPITATION: "precipitation",
  FLAG: "flag",
  QUALITY_FLAG: "quality_flag",
});

/**
 * The grid of the archive; edges of the outermost cells in degrees.
 * @typedef {Object} MapGrid
 * @property {number} rows
 * @property {number} cols
 * @property {number} step Width of a cell, degrees.
 * @property {number} north
 * @property {number} south
 * @property {number} west
 * @property {number} east
 * @property {number[]} row_edges Edges of the rows, degrees north, north first; rows need not be equally high.
 */

/**
 * The tile matrix sets, by their names in OGC's registry.
 * @typedef {"WebMercatorQuad" | "WorldCRS84Quad"} MatrixSet
 */

export const MatrixSet = Object.freeze({
  WEBMERCATORQUAD: "WebMercatorQuad",
  WORLDCRS84QUAD: "WorldCRS84Quad",
});

/**
 * The published days of one cell.
 * @typedef {Object} PlaceSeries
 * @property {number} latitude Of the cell's centre, degrees north.
 * @property {number} longitude Of the cell's centre, degrees east.
 * @property {string[]} dates
 * @property {Record<string, (number | null)[]>} values By variable, one value per day; null where there is none.
 * @property {(number | null)[]} usual_low For each day the 10th percentile of soil moisture in the same weeks of all
 *   years; empty if the archive has less than a year.
 * @property {(number | null)[]} usual_high The 90th percentile.
 * @property {string[]} not_from_cube Days that could not be read from the cube; their values are from the daily files.
 * @property {Record<string, string>} left_out Published days that are left out because they are on another grid, with
 *   the reason.
 */

/**
 * Why a day is not published as it should be.
 * @typedef {"refused" | "result refused" | "outage" | "wait"} ProblemKind
 */

export const ProblemKind = Object.freeze({
  REFUSED: "refused",
  RESULT_REFUSED: "result refused",
  OUTAGE: "outage",
  WAIT: "wait",
});

/**
 * A run that was accepted.
 * @typedef {Object} QueuedRun
 * @property {string[]} queued The arguments of ``runtime fill`` that choose the days.
 */

/**
 * The archive can be read and is current, the last run did what it could, and no run is stuck.
 * @typedef {Object} Readiness
 * @property {string} status Always ``ready``; a failure is answered with status 503.
 * @property {string | null} newest The newest published day.
 */

/**
 * Days to fill; without them, every day that is due.
 * @typedef {Object} RunRequest
 * @property {string | null} [from] The first day.
 * @property {string | null} [to] The last day, included; without it, only the first.
 */

/**
 * A run that has ended.
 * @typedef {Object} RunState
 * @property {string} started
 * @property {string} ended
 * @property {number} exit_code Exit code of ``runtime fill``; a code outside `EXPECTED_EXIT_CODES` is a failure.
 * @property {string} message The last error that the run logged; empty without one.
 */

export const EXPECTED_EXIT_CODES = Object.freeze([0, 3, 4, 5, 7]);

/**
 * Published days in a row that the same sensors saw.
 * @typedef {Object} SensorPeriod
 * @property {string} first
 * @property {string} last
 * @property {string[]} sensors Product-orbit-band; empty for days without an observation.
 */

/**
 * Colours of a time series.
 * @typedef {Object} SeriesColours
 * @property {string} observed
 * @property {string} filled
 * @property {string} rain
 */

/**
 * The state of the service and of the archive.
 * @typedef {Object} ServiceStatus
 * @property {string} archive The archive's folder.
 * @property {string | null} first The first published day.
 * @property {string | null} newest The newest published day.
 * @property {number} days Number of published days.
 * @property {number | null} lag_days Days from the newest published day to today.
 * @property {string | null} running_since Start of the run in progress.
 * @property {RunState | null} last_run
 * @property {string | null} next_run When the next run starts at the latest.
 * @property {Incident[]} incidents
 */

/**
 * Whether anything was observed on a published day, and whether it may still change.
 * @typedef {"provisional" | "consolidated" | "no_observation"} Tier
 */

export const Tier = Object.freeze({
  PROVISIONAL: "provisional",
  CONSOLIDATED: "consolidated",
  NO_OBSERVATION: "no_observation",
});

/**
 * What an operator decided about a day.
 * @typedef {"accept" | "reject"} Verdict
 */

export const Verdict = Object.freeze({
  ACCEPT: "accept",
  REJECT: "reject",
});
