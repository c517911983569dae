// Days as YYYY-MM-DD, counted in UTC.

const MS = 86_400_000;

export const number = (date) => Date.parse(`${date}T00:00:00Z`) / MS;
export const date = (day) => new Date(day * MS).toISOString().slice(0, 10);
export const shifted = (from, days) => date(number(from) + days);
export const words = (day) =>
  new Date(`${day}T00:00:00Z`).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
