/** A label of traffic, such as `region/fra`: it becomes part of a metric and of a track's name. */
export const tierPattern = /^[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+)*$/;
