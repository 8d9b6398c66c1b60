// A page that nobody rebuilds any more looks as it did: only the reader's clock can tell.
(function () {
  var built = Number(document.body.dataset.built), banner = document.getElementById("stale");
  function look() {
    var minutes = Math.floor((Date.now() / 1000 - built) / 60);
    banner.hidden = !built || minutes < 5;
    banner.textContent = "This page is " + minutes + " minutes old: its host does not rebuild it, or this device's clock is wrong.";
  }
  look();
  setInterval(look, 20000);
})();
