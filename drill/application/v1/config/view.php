<?php

return [
    'paths' => [resource_path('views')],
    // In the release, not in the shared storage: two requests that compile the same view at once may show an empty page,
    // so a release brings its views compiled, and view:cache empties the directory first.
    'compiled' => base_path('bootstrap/cache/views'),
];
