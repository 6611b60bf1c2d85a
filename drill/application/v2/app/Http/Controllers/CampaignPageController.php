<?php

namespace App\Http\Controllers;

use App\Http\Requests\StoreCampaignRequest;
use App\Models\Campaign;
use App\Models\ContactGroup;
use App\Models\Template;
use App\Services\CampaignCreator;
use Illuminate\Contracts\View\View;
use Illuminate\Http\RedirectResponse;

class CampaignPageController
{
    public function index(): View
    {
        return view('campaigns.index', [
            'campaigns' => Campaign::with('template', 'group')->withCount('logs')->latest('id')->simplePaginate(20),
        ]);
    }

    public function create(): View
    {
        return view('campaigns.create', [
            'templates' => Template::orderBy('name')->get(),
            'groups' => ContactGroup::withCount('contacts')->orderBy('name')->get(),
            'maxButtons' => config('campaign.hybrid.enabled') ? config('campaign.hybrid.max_buttons') : 0,
        ]);
    }

    public function store(StoreCampaignRequest $request, CampaignCreator $creator): RedirectResponse
    {
        $campaign = $creator->create($request->validated(), $request->user());

        return redirect()->route('campaigns.index')->with('status', "Campaign “{$campaign->name}” is on its way.");
    }
}
