"use strict";
// Asks /ping again and again, and shows which containers answered how often.
(function () {
  var body = document.body.dataset;
  var seen = new Map();
  var requests = 0;
  var errors = 0;

  function show(id, value) {
    document.getElementById(id).textContent = value;
  }

  function draw() {
    show("containers", seen.size);
    show("requests", requests);
    show("errors", errors);
    var list = document.getElementById("instances");
    list.replaceChildren();
    Array.from(seen.keys()).sort().forEach(function (name) {
      var item = document.createElement("li");
      item.textContent = name + ": " + seen.get(name);
      list.appendChild(item);
    });
  }

  function ping() {
    requests++;
    fetch("/ping", { cache: "no-store" })
      .then(function (response) {
        if (!response.ok) {
          throw new Error("status " + response.status);
        }
        return response.json();
      })
      .then(function (answer) {
        seen.set(answer.instance, (seen.get(answer.instance) || 0) + 1);
      })
      .catch(function () {
        if (body.skipErrors !== "true") {
          errors++;
        }
      })
      .finally(draw);
  }

  ping();
  setInterval(ping, Number(body.interval));
})();
