<?php

namespace App\Http\Controllers\Api;

use App\Models\Contact;
use App\Models\ContactGroup;
use App\Models\Template;
use Illuminate\Contracts\Pagination\Paginator;

class DirectoryController
{
    public function templates(): Paginator
    {
        return Template::orderBy('id')->paginate(50);
    }

    public function groups(): Paginator
    {
        return ContactGroup::withCount('contacts')->orderBy('id')->paginate(50);
    }

    public function contacts(): Paginator
    {
        return Contact::orderBy('id')->paginate(50);
    }
}
